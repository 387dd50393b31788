// SPDX-License-Identifier: Apache-2.0
// What LLDB calls when it loads the plug-in. Loaded twice, the commands are registered once more, for that debugger.
#include "commands.h"

namespace lldb {
__attribute__((visibility("default"))) bool PluginInitialize(SBDebugger debugger);

bool PluginInitialize(SBDebugger debugger)
{
    return add_commands(debugger);
}
} // namespace lldb
