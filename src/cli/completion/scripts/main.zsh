_understudy_offer() {
  local -a names
  case $1 in
    group) names=(${(f)"$($understudy_program completion-names groups 2>/dev/null)"}); compadd -a names ;;
    node) names=(${(f)"$($understudy_program completion-names nodes 2>/dev/null)"}); compadd -a names ;;
    file) _files ;;
    directory) _files -/ ;;
    'words '*) names=(${(s: :)1#words }); compadd -a names ;;
  esac
}

_understudy() {
  local understudy_program=${(Q)words[1]} understudy_path understudy_count understudy_kind REPLY
  local -a understudy_commands understudy_options
  _understudy_walk "${(@Q)words[2,CURRENT-1]}"
  if [ -n "$understudy_kind" ]; then
    _understudy_offer "$understudy_kind"
    return
  fi
  _understudy_words "$understudy_path"
  if [[ $words[CURRENT] == -*=* ]]; then
    _understudy_option_kind "$understudy_path ${words[CURRENT]%%=*}"
    compset -P '*='
    _understudy_offer "$REPLY"
  elif [[ $words[CURRENT] == -* ]]; then
    _describe -o option understudy_options
  elif [ "$understudy_count" -eq 0 ] && [ ${#understudy_commands} -gt 0 ]; then
    _describe command understudy_commands
  else
    _understudy_argument_kind "$understudy_path $understudy_count"
    _understudy_offer "$REPLY"
  fi
}

# Found in fpath it is called at once; sourced, it is only made known.
if [ "$funcstack[1]" = _understudy ]; then
  _understudy "$@"
else
  compdef _understudy understudy
fi
