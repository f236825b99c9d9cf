# agent-tracker-hook 1: what the hooks share. Notes at the end: here each byte costs every commit.
AT_PYTHON=''
AT_PATH=''
AT_REGISTRY=''
at_t='	'
at_n='
'
at_as=human at_use= at_used= at_marks= at_odd= at_bad=

# [1] Where.
at_git=${GIT_DIR:-.git}
if [ -f "$at_git" ]; then
	IFS= read -r at_x <"$at_git"
	at_x=${at_x#gitdir: }
	case $at_x in
	/* | ?:[/\\]*) at_git=$at_x ;;
	*)
		case $at_git in
		*/*) at_git=${at_git%/*}/$at_x ;;
		*) at_git=$at_x ;;
		esac
		;;
	esac
fi
at_top=${GIT_COMMON_DIR:-$at_git}
if [ -f "$at_git/commondir" ] && [ -z "${GIT_COMMON_DIR-}" ]; then
	IFS= read -r at_top <"$at_git/commondir"
	case $at_top in
	/* | ?:[/\\]*) ;;
	*) at_top=$at_git/$at_top ;;
	esac
fi
at_dir=$at_top/agent-tracker
[ -d "$at_dir" ] && [ ! -h "$at_dir" ] || return 0

# [2] A person?
at_values=${AGENT_TRACKER_AGENT-}${AGENT_TRACKER_SESSION-}${AI_AGENT-}${CLAUDECODE-}${OPENCODE-}${CODEX_CI-}\
${CODEX_THREAD_ID-}${CODEX_SANDBOX-}${GEMINI_CLI-}${COPILOT_CLI-}${QWEN_CODE-}${CURSOR_AGENT-}\
${AMP_CURRENT_THREAD_ID-}${CRUSH-}${GOOSE_TERMINAL-}${AUGMENT_AGENT-}${ANTIGRAVITY_AGENT-}${PI_CODING_AGENT-}\
${CLAUDE_CODE_SESSION_ID-}${CODEX_SESSION_ID-}${COPILOT_AGENT_SESSION_ID-}${OPENCODE_PID-}
[ -z "$at_values" ] && [ ! -f "$at_git/agent-tracker/use" ] || at_as=
case $at_event$at_as in
pre-commithuman) return 0 ;;
pre-push*) [ -s "$at_dir/spool" ] || return 0 ;;
esac

# [3] Writing.
at_append() {
	if [ -h "$at_dir/spool" ] || { [ ! -f "$at_dir/spool" ] && [ -e "$at_dir/spool" ]; }; then
		at_bad=kind
	else
		printf %s "$1" 2>&- >>"$at_dir/spool" || at_bad=write
	fi
	[ -z "$at_bad" ]
}
at_is_oid() {
	case $1 in
	*[!0123456789abcdef]*) return 1 ;;
	esac
	[ ${#1} = 40 ] || [ ${#1} = 64 ]
}
at_record() {
	at_flags=
	[ ! -d "$at_git/rebase-merge" ] && [ ! -d "$at_git/rebase-apply" ] || at_flags=rebase
	IFS= read -r at_oid <"$at_git/HEAD"
	case $at_oid in
	'ref: refs/heads/'*)
		at_x=$at_top/${at_oid#ref: }
		[ -f "$at_x" ] && IFS= read -r at_oid <"$at_x"
		;;
	esac
	at_is_oid "$at_oid" || return
	at_x=1${at_t}commit$at_t$at_oid$at_t$at_as$at_t$at_use$at_t$at_flags$at_marks
	[ ${#at_x} -lt 3880 ] && at_append "$at_n$at_x =${#at_x}$at_n"
}
if [ $at_event$at_as = post-commithuman ] && at_record; then
	return 0
fi

# [4] Which agent?
at_codex=${CODEX_CI-}${CODEX_THREAD_ID-}${CODEX_SANDBOX-}
at_clients=${CLAUDECODE:+ claude}${at_codex:+ codex}${GEMINI_CLI:+ gemini}${COPILOT_CLI:+ copilot}${QWEN_CODE:+ qwen}\
${CURSOR_AGENT:+ cursor}${AMP_CURRENT_THREAD_ID:+ amp}${GOOSE_TERMINAL:+ goose}${AUGMENT_AGENT:+ augment}\
${ANTIGRAVITY_AGENT:+ antigravity}${PI_CODING_AGENT:+ pi}
case ${OPENCODE-}:${CRUSH-} in
1:1) at_clients="$at_clients opencode crush" ;;
1:*) at_clients="$at_clients opencode" ;;
*:1) at_clients="$at_clients crush" ;;
esac
at_key=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-
at_plain=' !"#$%&()*+,/:;<=>?@^`{|}~'$at_key
at_is_key() {
	case $1 in
	'' | .* | *[!$at_key]*) return 1 ;;
	esac
}
at_read_use() {
	for at_x in "$at_git/agent-tracker" "$at_git/agent-tracker/use" "$at_git/agent-tracker/now"; do
		[ ! -h "$at_x" ] || return
	done
	[ -f "$at_x" ] || [ ! -e "$at_x" ] || return
	printf '\n' 2>&- >|"$at_x" || return
	[ "$at_git/agent-tracker/use" -nt "$at_x" ] || return 0
	IFS= read -r at_use <"$at_git/agent-tracker/use"
	at_is_key "$at_use" || { at_use= && return 1; }
}
at_marker() {
	at_is_key "$2" && [ -n "$AT_REGISTRY" ] && [ -f "$AT_REGISTRY/$1/$2" ] || return
	IFS=' ' read -r at_x at_id at_name <"$AT_REGISTRY/$1/$2"
	case $at_x:$1 in
	active:ids) [ "$at_id" = "$2" ] ;;
	active:names) [ "$at_name" = "$2" ] && at_is_key "$at_id" ;;
	active:*) at_is_key "$at_id" ;;
	*) return 1 ;;
	esac
}
at_as=
at_unsure=
[ ! -f "$at_git/agent-tracker/use" ] || at_read_use || at_unsure=1
case ${AGENT_TRACKER_AGENT-} in
human) at_as=human ;;
?*) ! at_marker ids "$AGENT_TRACKER_AGENT" && ! at_marker names "$AGENT_TRACKER_AGENT" || at_as=$at_id ;;
*)
	case $at_clients in
	' '*' '*) ;;
	?*) ! at_marker clients "${at_clients# }" || at_as=$at_id ;;
	*)
		case ${AI_AGENT:+x}$at_unsure:$at_use in
		:) at_as=human ;;
		:*) ! at_marker ids "$at_use" || at_as=$at_id at_used=$at_name ;;
		esac
		;;
	esac
	;;
esac
case $at_event in
pre-commit)
	[ -z "$at_as" ] || return 0
	;;
post-commit)
	at_marks=\
${AGENT_TRACKER_AGENT:+${at_t}AGENT_TRACKER_AGENT=$AGENT_TRACKER_AGENT}\
${AGENT_TRACKER_SESSION:+${at_t}AGENT_TRACKER_SESSION=$AGENT_TRACKER_SESSION}\
${AI_AGENT:+${at_t}AI_AGENT=$AI_AGENT}\
${CLAUDECODE:+${at_t}CLAUDECODE=$CLAUDECODE}\
${OPENCODE:+${at_t}OPENCODE=$OPENCODE}\
${CODEX_CI:+${at_t}CODEX_CI=$CODEX_CI}\
${CODEX_THREAD_ID:+${at_t}CODEX_THREAD_ID=$CODEX_THREAD_ID}\
${CODEX_SANDBOX:+${at_t}CODEX_SANDBOX=$CODEX_SANDBOX}\
${GEMINI_CLI:+${at_t}GEMINI_CLI=$GEMINI_CLI}\
${COPILOT_CLI:+${at_t}COPILOT_CLI=$COPILOT_CLI}\
${QWEN_CODE:+${at_t}QWEN_CODE=$QWEN_CODE}\
${CURSOR_AGENT:+${at_t}CURSOR_AGENT=$CURSOR_AGENT}\
${AMP_CURRENT_THREAD_ID:+${at_t}AMP_CURRENT_THREAD_ID=$AMP_CURRENT_THREAD_ID}\
${CRUSH:+${at_t}CRUSH=$CRUSH}\
${GOOSE_TERMINAL:+${at_t}GOOSE_TERMINAL=$GOOSE_TERMINAL}\
${AUGMENT_AGENT:+${at_t}AUGMENT_AGENT=$AUGMENT_AGENT}\
${ANTIGRAVITY_AGENT:+${at_t}ANTIGRAVITY_AGENT=$ANTIGRAVITY_AGENT}\
${PI_CODING_AGENT:+${at_t}PI_CODING_AGENT=$PI_CODING_AGENT}\
${CLAUDE_CODE_SESSION_ID:+${at_t}CLAUDE_CODE_SESSION_ID=$CLAUDE_CODE_SESSION_ID}\
${CODEX_SESSION_ID:+${at_t}CODEX_SESSION_ID=$CODEX_SESSION_ID}\
${COPILOT_AGENT_SESSION_ID:+${at_t}COPILOT_AGENT_SESSION_ID=$COPILOT_AGENT_SESSION_ID}\
${OPENCODE_PID:+${at_t}OPENCODE_PID=$OPENCODE_PID}
	case $at_values in
	*[!"$at_plain"]*) at_odd=1 ;;
	esac
	if [ -z "$at_odd$at_used$at_bad" ] && at_record; then
		return 0
	fi
	;;
esac

# [5] Words, a rewrite, and what only Python can do.
at_say() {
	printf 'agent-tracker: %s\n' "$1" >&2
}
at_python() {
	at_x=$AT_PATH:
	while [ -n "$at_x" ] && [ ! -f "${at_x%%:*}/agent_tracker/hook.py" ]; do
		at_x=${at_x#*:}
	done
	if [ -z "$at_x" ] || [ ! -f "$AT_PYTHON" ] || [ ! -x "$AT_PYTHON" ]; then
		at_say 'its Python part is gone, git goes on; to mend it: agent-tracker install-hooks'
		return 1
	fi
	at_x=0
	{
		(exec "$AT_PYTHON" -ISc '
import sys
sys.path += filter(None, sys.argv[1].split(":"))
try:
    from agent_tracker.hook import main
except Exception as error:
    sys.exit("agent-tracker: cannot start, git goes on: %r; to mend it: agent-tracker install-hooks" % error)
sys.exit(main(sys.argv[2:]))
' "$AT_PATH" "$at_event" "$at_git" 2>&3 3>&-)
		at_x=$?
	} 3>&2 2>/dev/null </dev/null
	[ "$at_x" -lt 126 ] || at_say "its Python part ended with code $at_x, git goes on"
	[ "$at_x" = 42 ]
}
at_is_policy_off() {
	for at_x in "$at_dir/policy" "${AT_REGISTRY:-$at_dir}/policy"; do
		if [ -f "$at_x" ]; then
			IFS=' ' read -r at_x <"$at_x"
			[ "$at_x" = off ]
			return
		fi
	done
	return 1
}
at_add_rewrite() {
	case $1:$at_line in
	amend:*\ * | rebase:*\ *) ;;
	*) return ;;
	esac
	if at_is_oid "$2" && at_is_oid "$3"; then
		at_x=1${at_t}rewrite$at_t$1$at_t$2$at_t$3
		at_lines=$at_lines$at_n$at_x\ =${#at_x}$at_n
	fi
}
at_write_rewrites() {
	[ -z "$at_lines" ] || [ -n "$at_bad" ] || at_append "$at_lines"
	at_stdin=$at_stdin$at_part at_part= at_lines=
}
at_read_rewrites() {
	at_stdin= at_part= at_lines= at_end=$at_n
	while IFS= read -r at_line || { at_end= && [ -n "$at_line" ]; }; do
		at_part=$at_part$at_line$at_end
		at_rest=${at_line#* }
		at_add_rewrite "$1" "${at_line%% *}" "${at_rest%% *}"
		[ ${#at_part} -lt 2600 ] || at_write_rewrites
	done
	at_write_rewrites
}
case $at_event in
pre-commit) ! at_is_policy_off && at_python && exit 1 ;;
pre-push) at_python || : ;;
post-rewrite) at_read_rewrites "$1" ;;
post-commit)
	if [ -n "$at_used" ] && [ -z "$at_odd" ] && at_record; then
		case $at_used in
		*[[:cntrl:]]*) at_used=$at_use ;;
		esac
		at_say "credited to $at_used (agent-tracker use)"
	elif [ -z "$at_bad" ]; then
		at_python
	fi
	;;
esac
case $at_bad in
kind) at_say 'agent-tracker/spool in the git directory is not a regular file: nothing was recorded' ;;
write) at_say 'cannot write agent-tracker/spool in the git directory: nothing was recorded' ;;
esac
if [ "$at_event" = post-rewrite ] && [ -x "$0.agent-tracker-kept" ]; then
	printf %s "$at_stdin" 2>/dev/null | "$0.agent-tracker-kept" "$@"
	exit
fi
return 0

# Notes. A hook sets at_event and sources this file; install-hooks fills in the three lines at the top. A shell spends more
# on reading these parts than on running them, so it reads them in order and leaves by `return` where nothing is left
# to do: a person's pre-commit in [2], a person's post-commit in [3], an agent's hooks in [4].
# Up to [4] no process is started. Nothing read from a file or a variable is ever evaluated. Characters are spelt out,
# not given as ranges or classes, and lines are plain ASCII (whatever is not goes to Python): then neither a match nor
# a length depends on the locale, and LC_ALL need not be touched.
#
# [1] at_git is this worktree's git directory, at_top the common one, at_dir ours. A symbolic link is not ours.
# [2] at_values: every identity variable. at_as stays `human` where none is set and no `use` file is there.
# [3] at_append TEXT adds whole lines: dash in one write, bash in one a line. at_bad: why it could not.
#     at_record records the commit at HEAD. False where Python must: the ref is packed or in a reftable, or the line
#     would grow too long to be appended in one write.
# [4] at_clients: the clients that announce themselves; OPENCODE and CRUSH count where they are exactly 1.
#     at_use: the agent in a `use` file that has not expired. The file is modified at the time when it expires, and one
#     written now is the clock. at_unsure: it cannot be judged here.
#     at_marker KIND KEY: true where the registry has KEY as active. at_id and at_name say who that is; they are
#     compared because a file system that folds case finds more than was asked for.
#     at_as: the agent, `human`, or empty where Python must decide. at_used: the name, where `use` decided.
#     at_marks: the identity variables as fields of the line. at_odd: only Python can write them down.
# [5] at_python hands the event over. True where Python refuses a commit: by code 42 and by no other. By way of
#     descriptor 3 Python keeps its stderr, while the shell's own words on a killed child go unheard.
#     at_read_rewrites keeps stdin as it came, for the hook that was here before: it can be read only once. It appends
#     32 lines of SHA-1 oids, 3.4 kB, at a time.
