"""A community file to start from, as it stands."""

EXAMPLE = """\
# A community file of slotfeed. The ten numbered lines are the ones to fill in; what is commented out
# shows a default or a choice. `slotfeed check` finds every fault of this file at once.
#
# No password stands here. slotfeed takes them from the environment, or from a file .env beside this one
# that only its owner can read (chmod 600 .env):
#   SLOTFEED_EXCHANGE_USERNAME, SLOTFEED_EXCHANGE_PASSWORD    your login at the exchange
#   SLOTFEED_SOURCE_METERS_PASSWORD                           of the source `meters` below

community:
  name: Sunny Street
  simulation_uuid: 84d221fa-46e1-49e0-823b-26cfb3425a5a    # (1) after /results/ in the address of the exchange's page
  # slot_length: 15             # minutes, as set at the exchange
  # time_zone: UTC              # of reports and days, such as Europe/Vienna
  # holidays: AT                # whose public holidays are like Sundays: a country, or its part such as DE-BY

exchange:
  base_url: https://gsyweb.gridsingularity.com
  # protocol: rest              # rest: what the test network documents; sdk: what GSy's Python SDK sends;
  #                             # batch: many assets in one request of an aggregator (it stops template trading)
  # aggregator: Sunny Street    # its name or uuid, for batch: slotfeed aggregators list
  # margin_s: 30                # a forecast must be there this many seconds before its slot
  # concurrency: 10             # posts at a time

# slotfeed's own database; PostgreSQL where more than one worker runs
# database: postgresql+psycopg://slotfeed@db.example/slotfeed?sslmode=require

# Passwords and tokens travel encrypted. Hosts in your own network that can't do that, by their names:
# allow_http: [homeassistant.local]

sources:
  meters:                       # a name of your own, for the streams below
    type: meter_database
    # (2) any SQLAlchemy URL, without password; sslmode=verify-full also makes sure who answers
    url: postgresql+psycopg://reader@db.example/meters?sslmode=require
    table: readings                                           # (3)
    columns: {meter: meter_id, time: time, register: obis_code, value: value}   # (4) your columns' names
    time_type: timestamptz      # (5) timestamptz, naive, epoch_s or epoch_ms
    # time_zone: Europe/Vienna  # of naive time stamps
    # More columns, where the table has them: end, unit, quality, ingested_at, tie_breaker.
    # Instead of `table`, one SELECT with its parameters:
    # sql: SELECT * FROM readings WHERE time >= :start AND time < :end AND meter_id IN :meters
    # Where each register has a column of its own, leave out columns.register and columns.value:
    # wide: {pos_act_energy_total: "1-0:1.8.0", neg_act_energy_total: "1-0:2.8.0"}
    # What the quality column says -> MEASURED, SUBSTITUTED, ESTIMATED, PROVISIONAL, MISSING or UNUSABLE:
    # quality_map: {"220": MEASURED, "67": SUBSTITUTED}

  # Vendor clouds, in place of the meter database or beside it. Their passwords, keys and tokens are named in the same
  # way: SLOTFEED_SOURCE_ROOF_PASSWORD is that of `roof`. `slotfeed sources list` shows what an account has to read.
  # roof: {type: solaredge}
  # flats: {type: inexogy, username: member@example.org}
  # cellar: {type: home_assistant, url: "http://homeassistant.local:8123"}
  # Further types: fusionsolar, with a username, and victron_vrm.

assets:
  - name: Flat 1                                              # (6)
    uuid: 5f9c3e13-f75d-42af-92e4-55244faec4b4                # (7) the asset's, from the exchange
    type: load                  # (8) load or pv; heat_pump and ev_charger are sent as loads
    rated_power_kw: 10          # (9) the most it can draw or feed in: larger values are put aside
    streams:
      # (10) the channels whose sum is the asset's energy. kind: register, interval or power; ids in quotes.
      - {source: meters, device: "1EMH0012345678", register: "1-0:1.8.0", kind: register, unit: kWh}

  # Energy at the exchange is never negative: what the same meter counts as fed in is a second asset, a pv.
  - name: Flat 1 roof
    uuid: 26090dea-a100-4c9b-9d2c-fcd582be8b2d
    type: pv
    rated_power_kw: 5
    streams:
      - {source: meters, device: "1EMH0012345678", register: "1-0:2.8.0", kind: register, unit: kWh}

  # The streams of a cloud name a register that its vendor has, and need no kind and unit:
  #   - {source: roof, device: "2051001", register: production}

  # Of a stream there is more to say where it needs it:
  #   label: start              # start, end or instant: what the stamp of an interval or a power tells
  #   interval: 15              # minutes of a span whose rows tell only its start or end
  #   sign: -1                  # turns the value round
  #   two_way: true             # goes below zero: name it in two assets, in the pv with sign: -1
  #   dials: 6                  # digits of kWh that the register can show: more is a wrong unit
  #
  # Of an asset, too:
  #   check_registers: [...]    # like streams: registers that its energy must add up to
  #   checks: {day_usage: off, stale_run: {high: 11}}    # other thresholds; slotfeed checks --asset "Flat 1"
  #   post_estimates: true      # send what was estimated where readings are missing; by default it isn't
  #   forecast: yesterday       # by default what the last backtest found best
  #   load_profile: h0          # until there are measurements: a standard load profile, and
  #   annual_kwh: 3500          # the energy of a year

# Other thresholds for all assets or for a type, and how gaps are filled:
# checks: {all: {stale_run: {high: 11}}, pv: {zero_run: {severity: inform}}}
# estimation: {linear_minutes: 120, like_day_weeks: 3, longest_days: 21}
"""


def example_yaml() -> str:
    """A community file to start from: right as it stands, with the lines to change numbered."""
    return EXAMPLE
