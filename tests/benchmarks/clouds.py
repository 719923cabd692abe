"""How fast vendor clouds are read: a day of a thousand devices at each of the emulated vendors.

Run by `make bench`. The emulators run in a process of their own, on this machine, so the network costs nothing and the
emulator's own work is in the seconds of the first table, not in those of the second.

1. Reading. 2016-10-29 in Berlin, as a backfill: once as requests and `normalise` alone, once by `collect` into an empty
   SQLite store, in a process of its own, whose peak of memory is told. Requests are counted by the emulator. Limits are
   those of the vendors' free plans; waiting for them moves the clock of both sides and costs no time, so it is told
   beside the seconds.
2. Parsing. CPU time from the bytes that the emulator sent to the frame of rows (`pipelines.collect.source.ROWS`), on
   one core and with one polars thread, five times; beside it json.loads and a loop that makes a dict a point, as a
   script would. Both must come to the same sum.
"""

if __name__ == "__main__":
    # Only here: each process that is started reads this file, and needs nothing of what follows.
    from figures import main

    main()
