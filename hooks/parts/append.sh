# agent-tracker-hook 1: at_line, whole lines, into the spool. at_bad: why it could not be done.
if [ ! -h "$at_dir/spool" ] && { [ -f "$at_dir/spool" ] || [ ! -e "$at_dir/spool" ]; }; then
	printf %s "$at_line" 2>&- >>"$at_dir/spool" || at_bad=write
else
	at_bad=kind
fi
