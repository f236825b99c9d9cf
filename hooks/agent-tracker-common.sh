# agent-tracker-hook 1: who commits and by what marks, where AGENT_TRACKER_AGENT or Claude Code says so.
. "${0%/*}/parts/common.sh"
. "${0%/*}/parts/marker.sh"
if [ "$at_values" = "${AGENT_TRACKER_AGENT:-1}" ] && [ -n "$at_as" ] && [ ! -f "$at_git/agent-tracker/use" ]; then
	at_x=${AGENT_TRACKER_AGENT:+AGENT_TRACKER_AGENT}
	at_marks=$at_t${at_x:-CLAUDECODE}=$at_values at_odd=
	return 0
fi
if [ "$at_values" = "${AGENT_TRACKER_AGENT-}${AGENT_TRACKER_SESSION-}${AI_AGENT-}${CLAUDECODE-}${CLAUDE_CODE_SESSION_ID-}" ] &&
	[ -n "$at_as" ] && [ ! -f "$at_git/agent-tracker/use" ]; then
	at_marks=\
${AGENT_TRACKER_AGENT:+${at_t}AGENT_TRACKER_AGENT=$AGENT_TRACKER_AGENT}\
${AGENT_TRACKER_SESSION:+${at_t}AGENT_TRACKER_SESSION=$AGENT_TRACKER_SESSION}\
${AI_AGENT:+${at_t}AI_AGENT=$AI_AGENT}\
${CLAUDECODE:+${at_t}CLAUDECODE=$CLAUDECODE}\
${CLAUDE_CODE_SESSION_ID:+${at_t}CLAUDE_CODE_SESSION_ID=$CLAUDE_CODE_SESSION_ID}
	. "${0%/*}/parts/odd.sh"
	return 0
fi
[ ! -r "${0%/*}/agent-tracker-rare.sh" ] || . "${0%/*}/agent-tracker-rare.sh"
return 0
