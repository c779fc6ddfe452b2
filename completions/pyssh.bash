# Completion of pyssh for bash 4 or newer.
#
# What may stand where, pyssh itself knows: `pyssh --complete bash` prints words for COMPREPLY. Here the words of the
# command line are put together that bash has cut at each of COMP_WORDBREAKS.

_pyssh() {
    local program=${1/#\~\//"$HOME"/} line=${COMP_LINE:0:COMP_POINT}
    local words=() places=() answer=() word= lead= gap piece last i count=-1
    COMPREPLY=()
    # Only pyssh is asked, and only where it is: by the path that was typed, or on PATH.
    [[ $program == */pyssh && -f $program && -x $program ]] || program=$(type -P pyssh) || return 0

    for ((i = 0; i <= COMP_CWORD; i++)); do
        gap=${line%%[![:space:]]*}
        line=${line#"$gap"}
        piece=${COMP_WORDS[i]}
        if ((i == COMP_CWORD)); then piece=$line; fi
        line=${line#"$piece"}
        if ((count > 0)) && [[ -z $gap && ($piece == [:=@]* || ${words[count]} == *[:=@]) ]]; then
            lead=${words[count]}
            words[count]+=$piece
            if [[ $piece == [:=@]* ]]; then lead=${words[count]}; fi
        else
            ((++count))
            words[count]=$piece lead=
        fi
        places[count]=${places[count]-$i}
    done
    lead=${lead%@} # where readline breaks words at an @, it takes that for a part of the second
    last=${words[count]#"$lead"}

    mapfile -t answer < <("$program" --complete bash "$lead" "${words[@]}" 2>/dev/null </dev/null)
    COMPREPLY=("${answer[@]:1}")
    case ${answer[0]-} in
    nospace)
        compopt -o nospace
        ;;
    files)
        compopt -o default # readline's own way with ~ and quotes
        ;;
    mixed)
        compopt -o filenames
        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$last")
        ;;
    command*)
        i=${places[${answer[0]#* }]}
        if [[ ${COMP_WORDS[*]:i} == *[\$\`]* ]]; then
            # Meant for the other side, and not for here: the library would run it, in quotes or not.
            compopt -o bashdefault -o default
        elif declare -F _comp_command_offset >/dev/null; then
            _comp_command_offset "$i"
        elif declare -F _command_offset >/dev/null; then
            _command_offset "$i"
        elif ((i == COMP_CWORD)); then
            compopt -o filenames -o bashdefault -o default
            mapfile -t COMPREPLY < <(compgen -c -- "$last")
        else
            compopt -o bashdefault -o default
        fi
        ;;
    esac
}

if ((BASH_VERSINFO[0] >= 4)); then complete -F _pyssh pyssh; fi
