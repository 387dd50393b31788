# SPDX-License-Identifier: Apache-2.0
# The layout tables: `make layouts` writes them from the headers of this machine, `make check-layouts` compares them.
#   PYBRAID_ROOTS=/srv/sid:/srv/trixie   other Debian systems, unpacked, whose headers and debug symbols count too
.PHONY: layouts check-layouts
layouts:
	/usr/bin/python3 tests/layout/generate.py
check-layouts:
	/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/layout/check.py
