#!/bin/sh
# Slurm's @PROGRAM@, written by `gpucheck fleet hooks @KIND@ --install`. Options of `gpucheck fleet node` for all hooks
# of this node go into /etc/gpucheck/hooks.env: GPUCHECK_NODE="--failures 3 --share 2"
PATH=@PATH@
export PATH
[ ! -r /etc/gpucheck/hooks.env ] || . /etc/gpucheck/hooks.env
said=$(timeout -k 1 @SECONDS@ @GPUCHECK@ fleet node --for slurm --at @MOMENT@ ${GPUCHECK_NODE-})
code=$?
case $said in
    ok:*) ;;
    *) printf '%s\n' "$said" >&2; logger -t gpucheck -- "${said:-no answer: it ended with $code}" 2>/dev/null ;;
esac
@END@
