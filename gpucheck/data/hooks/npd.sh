#!/bin/sh
# A plugin of node-problem-detector, written by `gpucheck fleet hooks npd --install`: a line, and 0 well, 1 a problem,
# 2 not known. Options of `gpucheck fleet node` go into /etc/gpucheck/hooks.env: GPUCHECK_NODE="--failures 3"
PATH=@PATH@
export PATH
[ ! -r /etc/gpucheck/hooks.env ] || . /etc/gpucheck/hooks.env
said=$(timeout -k 1 @SECONDS@ @GPUCHECK@ fleet node --for npd ${GPUCHECK_NODE-})
code=$?
# A gpucheck that is broken says nothing, and Python ends with 1 then.
[ -n "$said" ] || { echo "gpucheck gives no answer: it ended with $code"; exit 2; }
printf '%s\n' "$said"
[ $code -le 1 ] && exit $code
exit 2
