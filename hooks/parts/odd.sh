# agent-tracker-hook 1: at_odd stays where only Python can write down what is to be recorded.
case $at_values in
*[!' !"#$%&()*+,/:;<=>?@^`{|}~'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-]*) ;;
*) [ ${#at_marks} -gt 3600 ] || at_odd= ;;
esac
