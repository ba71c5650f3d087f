"""Runs one command and tells what its whole process tree used (wait4(2)): Node reaps its children itself and drops
the figures. Reads the order as JSON on stdin, writes the result as JSON on stdout. Small on purpose: the peak
resident set of a child is never less than that of the process that forked it."""

import json
import os
import sys
import time

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    # utime and stime: proc(5), fields 14 and 15.
    return (int(fields[11]) + int(fields[12])) / TICKS


def busy():
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def main():
    order = json.load(sys.stdin)
    servers = order["serverPids"]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, order["stdout"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, order["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    os.chdir(order["cwd"])
    # What the run before left to write would be charged to this one.
    os.sync()
    before, busy_before = [cpu_of(pid) for pid in servers], busy()
    start = time.perf_counter()
    pid = os.posix_spawnp(order["argv"][0], order["argv"], order["env"], file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    busy_after, after = busy(), [cpu_of(pid) for pid in servers]
    server = sum(after) - sum(before)
    own = usage.ru_utime + usage.ru_stime
    result = {
        "exit": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "userSeconds": usage.ru_utime,
        "systemSeconds": usage.ru_stime,
        "peakRss": usage.ru_maxrss * 1024,
        "serverSeconds": server if servers else None,
        "otherSeconds": max(0.0, busy_after - busy_before - server - own),
    }
    json.dump(result, sys.stdout)


main()
