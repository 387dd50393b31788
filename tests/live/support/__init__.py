# SPDX-License-Identifier: Apache-2.0
"""What the live tests stand on: interpreters, targets, debuggers."""
