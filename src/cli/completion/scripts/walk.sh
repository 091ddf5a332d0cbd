# bash and zsh. In: the words before the one that is completed. Out: in understudy_path the command that they lead to, in
# understudy_count how many arguments of it are there, and in understudy_kind what an option before it wants now.
_understudy_walk() {
  understudy_path='' understudy_count=0 understudy_kind=''
  local word longer skip='' rest=''
  for word in "$@"; do
    if [ -n "$skip" ]; then
      skip='' understudy_kind=''
      continue
    fi
    if [ -z "$rest" ]; then
      case $word in
        --) rest=yes; continue ;;
        -*=*) continue ;;
        -*)
          _understudy_option_kind "$understudy_path $word"
          if [ -n "$REPLY" ]; then skip=yes understudy_kind=$REPLY; fi
          continue ;;
      esac
    fi
    longer="$understudy_path${understudy_path:+ }$word"
    _understudy_is_command "$longer"
    if [ -n "$REPLY" ]; then
      understudy_path=$longer
    else
      understudy_count=$((understudy_count + 1))
    fi
  done
}
