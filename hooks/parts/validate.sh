# agent-tracker-hook 1: may this agent commit?
. "${0%/*}/parts/person.sh"
if [ -z "$at_values" ] && [ ! -f "$at_git/agent-tracker/use" ]; then
	. "${0%/*}/parts/leave.sh"
fi
. "${0%/*}/parts/common.sh"
if [ -n "$at_as$at_marker" ]; then
	. "${0%/*}/parts/leave.sh"
fi
. "${0%/*}/parts/rare.sh"
at_used= at_bad=
for at_need in use python; do
	[ -n "$at_as$at_marker" ] || [ ! -r "${0%/*}/agent-tracker.sh" ] || . "${0%/*}/agent-tracker.sh"
done
. "${0%/*}/parts/leave.sh"
