_understudy_offer() {
  case $1 in
    group) mapfile -t COMPREPLY < <(compgen -W "$("$understudy_program" completion-names groups 2>/dev/null)" -- "$2") ;;
    node) mapfile -t COMPREPLY < <(compgen -W "$("$understudy_program" completion-names nodes 2>/dev/null)" -- "$2") ;;
    file)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
    directory)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
    'words '*) mapfile -t COMPREPLY < <(compgen -W "${1#words }" -- "$2") ;;
  esac
}

_understudy() {
  local understudy_program=$1 current=${COMP_WORDS[COMP_CWORD]} word REPLY
  local understudy_path understudy_count understudy_kind understudy_commands understudy_options
  local -a before=()
  # bash breaks words at "=": "--to=a" comes as "--to", "=", "a".
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do [ "$word" = = ] || before+=("$word"); done
  [ "$current" = = ] && current=''
  COMPREPLY=()
  _understudy_walk "${before[@]}"
  if [ -n "$understudy_kind" ]; then
    _understudy_offer "$understudy_kind" "$current"
    return
  fi
  _understudy_words "$understudy_path"
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$understudy_options" -- "$current")
  elif [ "$understudy_count" -eq 0 ] && [ -n "$understudy_commands" ]; then
    mapfile -t COMPREPLY < <(compgen -W "$understudy_commands" -- "$current")
  else
    _understudy_argument_kind "$understudy_path $understudy_count"
    _understudy_offer "$REPLY" "$current"
  fi
}

complete -F _understudy understudy
