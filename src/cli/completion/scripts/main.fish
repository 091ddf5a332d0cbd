# Prints the command that the line leads to, and how many arguments of it are there: "group show/1".
function __understudy_place
  set -l path ''
  set -l count 0
  set -l skip no
  set -l tokens (commandline -opc)
  for word in $tokens[2..-1]
    if test $skip = yes
      set skip no
      continue
    end
    if string match -q -- '-*' $word
      contains -- "$path $word" $__understudy_valued; and set skip yes
      continue
    end
    set -l longer (string trim -- "$path $word")
    if contains -- $longer $__understudy_known
      set path $longer
    else
      set count (math $count + 1)
    end
  end
  echo "$path/$count"
end

function __understudy_at
  test (__understudy_place) = $argv[1]
end

function __understudy_in
  string match -q -r -- '^'(string escape --style=regex -- $argv[1])'/\d+$' (__understudy_place)
end

function __understudy_names
  set -l tokens (commandline -opc)
  command -q $tokens[1]; and command $tokens[1] completion-names $argv[1] 2>/dev/null
end

complete -c understudy -f
