"""How fast a slot is posted: one forecast each of 200 and of 10,000 assets, to an exchange near and one 100 ms away.

Run by `make bench`. The exchange is the sandbox's, in a process of its own on this machine, with a clock that stands;
it answers at once, or after 100 ms. A real one tells over the websocket at its next tick, up to 15 s later: the last
rows have that, with 200 assets and ticks of 1 s.

1. Posting. `batch`, `sdk` and `rest` through `pipelines.deliver`, from a full outbox in SQLite until every outcome is
   written; login and the aggregator's websocket before it are told beside the seconds. Requests and logins are counted
   by the exchange, and the energies it used are read back. Beside them, in the same run, the sequential peer: one
   login, then for each asset one blocking post and the wait for its answer on that asset's websocket, looked for every
   10 ms as in GSy's client; how often it was there at the first look, so that nothing was waited for, is told. The peer
   is slow, so it is measured over the first 200 assets, with the delay over the first 100, and compared by the asset.
   The floor is bare sockets that send bytes made beforehand.
2. The sandbox. Posts a second that it takes on one core, from bare sockets on another, with its journal on.
"""

if __name__ == "__main__":
    # Only here: each process that is started reads this file, and needs nothing of what follows.
    from posting_figures import main

    main()
