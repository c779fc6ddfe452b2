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
    set -l kind (string split -m 2 ' ' -- "$answer[1]")
    set -q answer[2]; and printf '%s\n' $answer[2..]
    switch "$kind[1]"
        case files
            set -l path "$current"
            if test $kind[2] -gt 0
                # A part of a word may have lost its quotes: escaped, with nothing to act on but a ~ in front.
                set path (string sub -s (math 1 + $kind[2]) -- "$kind[3]" | string escape -n | string replace -r '^\\\\~' '~')
            end
            for file in (complete -C "'' $path")
                # A name with a newline in it comes in two, which are nobody's.
                set -l name (string split -m 1 \t -- $file)[1]
                string match -qr '^[$~]' -- $name; or test -e "$name"; or test -L "$name"; or continue
                printf '%s\n' (string sub -l $kind[2] -- "$kind[3]")$file
            end
        case command
            # What is acted on is meant for the other side: fish would do it here, in quotes or not.
            string match -qr '[$(]' -- "$current"; and return
            set -l first (math $kind[2] + 1)
            complete -C (string join ' ' -- (string escape -- $words[$first..]) "$current")
    end
end

complete -c pyssh -f -a '(__pyssh_complete)'
