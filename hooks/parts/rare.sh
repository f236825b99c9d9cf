# agent-tracker-hook 1: the agent, where its name has a capital letter, or a session or another client tells.
at_codex=${CODEX_CI-}${CODEX_THREAD_ID-}${CODEX_SANDBOX-}
at_clients=${CLAUDECODE:+ claude}${at_codex:+ codex}${GEMINI_CLI:+ gemini}${COPILOT_CLI:+ copilot}${QWEN_CODE:+ qwen}\
${CURSOR_AGENT:+ cursor}${AMP_CURRENT_THREAD_ID:+ amp}${GOOSE_TERMINAL:+ goose}${AUGMENT_AGENT:+ augment}\
${ANTIGRAVITY_AGENT:+ antigravity}${PI_CODING_AGENT:+ pi}
case ${OPENCODE-}:${CRUSH-} in
1:1) at_clients="$at_clients opencode crush" ;;
1:*) at_clients="$at_clients opencode" ;;
*:1) at_clients="$at_clients crush" ;;
esac
at_session=
for at_id in "${AGENT_TRACKER_SESSION-}" "${CLAUDECODE:+${CLAUDE_CODE_SESSION_ID-}}" "${at_codex:+${CODEX_SESSION_ID-}}" \
	"${CODEX_THREAD_ID-}" "${COPILOT_CLI:+${COPILOT_AGENT_SESSION_ID-}}" "${AMP_CURRENT_THREAD_ID-}"; do
	case ${AGENT_TRACKER_AGENT:+x}${at_session:+x}:$at_id in
	x* | :) ;;
	:.* | :*[!ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-]*) at_session=/ ;;
	*)
		at_x=${AT_REGISTRY%/*}/sessions/$at_id
		[ -f "$at_x" ] && { read -r at_session && read -r at_x; } <"$at_x" && [ "$at_x" = "$at_id" ] || at_session=
		;;
	esac
done
case ${AGENT_TRACKER_AGENT:+x}${at_session:+s}$at_clients${AI_AGENT:+:} in
s*) [ ! -f "$AT_REGISTRY/ids/$at_session" ] || at_as=$at_session ;;
x*)
	case $AGENT_TRACKER_AGENT in
	.* | *[!ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-]*) ;;
	*[ABCDEFGHIJKLMNOPQRSTUVWXYZ]*)
		at_marker=$AT_REGISTRY/mixed/$AGENT_TRACKER_AGENT at_x=
		[ -f "$at_marker" ] && { read -r at_x && read -r at_x; } <"$at_marker" || at_x=
		[ "$at_x" = "$AGENT_TRACKER_AGENT" ] || at_marker=
		;;
	esac
	;;
' '*' '* | :) ;;
'') [ -f "$at_git/agent-tracker/use" ] || at_as=human ;;
*) [ ! -f "$AT_REGISTRY/clients/${at_clients# }" ] || at_marker=$AT_REGISTRY/clients/${at_clients# } ;;
esac
