"""Runs commands as child processes and tells what each took, one JSON line a run. Lua has no wait4.

Usage: measure.py ROUNDS COMMAND [COMMAND...]: each command (words as in a shell) once a round, in turn, without input;
what it prints is dropped. Stops at the first command that fails.
Resident memory counts from this process's own (about 10 MiB) upward: a child begins as its copy.
"""
import json
import os
import shlex
import shutil
import sys
import time

null = os.open(os.devnull, os.O_RDWR)
actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)]
os.sync()  # what others wrote is not this measurement's affair
commands = []
for text in sys.argv[2:]:
    words = shlex.split(text)
    words[0] = shutil.which(words[0])
    commands.append(words)
for _ in range(int(sys.argv[1])):
    for i, words in enumerate(commands, 1):
        started = time.perf_counter()
        pid = os.posix_spawn(words[0], words, os.environ, file_actions=actions)
        _, status, used = os.wait4(pid, 0)
        wall = time.perf_counter() - started
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"command": i, "wall": wall, "user": used.ru_utime, "sys": used.ru_stime,
                          "rss": used.ru_maxrss / 1024, "code": code}), flush=True)
        if code != 0:
            sys.exit(f"{words[0]} ended with {code}")
