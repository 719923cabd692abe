"""How fast register readings become slots, beside pandas and DuckDB, and in how much memory.

Run by `make bench`. A million and ten million readings of seven thousand assets, each a minute after the other, in the
order of their arrival, with resets, rollovers at 100 MWh, silences of two hours, late and substituted readings, in one
parquet file. From the file to energy, coverage, quality and method of each asset and slot:

- slotfeed: `pipelines.convert.kernel.slot_energy`, what `convert` calls.
- pandas: whole columns, one sort; with names as text, as they are read, and with names as categories, which pyarrow can
  take from the file's own dictionaries.
- DuckDB: one statement; partitioned by names, and with streams numbered first.

Ways take turns, each in a process of its own, and the least of some rounds counts, as other work on the machine only
adds. In the end all results are held against each other: the same slots, energies to 1e-6 Wh, the rest to the last bit
but rounding. CPU is beside the seconds because a machine that others share makes seconds long and CPU hardly.

Then fifty million readings, through `slot_energy_in_parts`, which reads the file once for each 350 assets; its slots
are held against DuckDB's.

    python tests/benchmarks/slots.py --sizes 1e5 --largest 1e6 --rounds 1     # a quick look
"""

if __name__ == "__main__":
    from slots_figures import main

    main()
