#!/bin/bash
# TaskProlog=/etc/slurm/longshore-task-prolog.sh in slurm.conf: data before every task, for jobs that ask for it with
#   sbatch --export=ALL,LONGSHORE_PRELOAD=s3://packed/imagenet/v1/ …
# Lines "export NAME=value" on stdout go into the task's environment, "print …" to its output.
# Several tasks of one node may run it at once: one fetches, the others wait.
[ -n "${LONGSHORE_PRELOAD:-}" ] || exit 0
if data=$(longshore preload "$LONGSHORE_PRELOAD" --cache-dir /nvme/longshore --make-room --quiet); then
  echo "export LONGSHORE_DATA=$data"
else
  echo "print longshore preload of $LONGSHORE_PRELOAD failed"
  exit 1
fi
