# Completion of pyssh for fish.
#
# What may stand where, pyssh itself knows: `pyssh --complete fish` prints it, one to a line.

function __pyssh_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    # Only pyssh is asked, and only where it is: by the path that was typed, or on PATH.
    set -l program $words[1]
    if not string match -q '*/pyssh' -- $program; or not test -f $program -a -x $program
        set program (command -s pyssh); or return
    end
    set -l answer ($program --complete fish (string escape -- $words) "$current" 2>/dev/null </dev/null)
    set -l kind (string split -m 1 ' ' -- "$answer[1]")
    set -q answer[2]; and printf '%s\n' $answer[2..]
    switch "$kind[1]"
        case files
            set -l path (string sub -s (math 1 + (string length -- "$kind[2]")) -- "$current")
            set -l files (complete -C "'' $path")
            set -q files[1]; and printf '%s\n' "$kind[2]"$files
        case command
            set -l first (math $kind[2] + 1)
            complete -C (string join ' ' -- (string escape -- $words[$first..]) "$current")
    end
end

complete -c pyssh -f -a '(__pyssh_complete)'
