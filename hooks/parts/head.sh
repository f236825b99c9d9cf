# agent-tracker-hook 1: at_oid, the commit that HEAD names, or whatever else stands where a shell looks for it.
read -r at_oid <"$at_git/HEAD" || :
case $at_oid in
'ref: refs/heads/'*)
	at_oid=$at_top/${at_oid#ref: }
	[ ! -f "$at_oid" ] || read -r at_oid <"$at_oid" || :
	;;
esac
