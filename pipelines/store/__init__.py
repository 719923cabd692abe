"""slotfeed's own database: what was read, judged, converted, sent and found."""

from pipelines.store.aged_tables import AgedPartRow
from pipelines.store.bulk import CHUNK, insert_rows, read_frame, table_of, upsert_rows
from pipelines.store.commission_tables import CertificateRow, CommissionChangeRow
from pipelines.store.engine import Store, open_store
from pipelines.store.leads import keep_lead, kept_lead
from pipelines.store.quality_tables import FindingRow, ForecastChoiceRow, ForecastModelRow, QualityDayRow
from pipelines.store.runs import finish_run, start_run
from pipelines.store.source_tables import AccountRow, GapRow, QuotaRow
from pipelines.store.tables import (
    USABLE,
    AssetRow,
    Cursor,
    DiscrepancyRow,
    ExchangeEnergyRow,
    MarketLeadRow,
    ReadingRow,
    RunRow,
    SeriesStart,
    SlotEnergyRow,
    SubmissionRow,
    Verdict,
)
from pipelines.store.tally import TallyRow
from pipelines.store.watch_tables import IncidentRow

__all__ = [
    "CHUNK",
    "USABLE",
    "AccountRow",
    "AgedPartRow",
    "AssetRow",
    "CertificateRow",
    "CommissionChangeRow",
    "Cursor",
    "DiscrepancyRow",
    "ExchangeEnergyRow",
    "FindingRow",
    "ForecastChoiceRow",
    "ForecastModelRow",
    "GapRow",
    "IncidentRow",
    "MarketLeadRow",
    "QualityDayRow",
    "QuotaRow",
    "ReadingRow",
    "RunRow",
    "SeriesStart",
    "SlotEnergyRow",
    "Store",
    "SubmissionRow",
    "TallyRow",
    "Verdict",
    "finish_run",
    "insert_rows",
    "keep_lead",
    "kept_lead",
    "open_store",
    "read_frame",
    "start_run",
    "table_of",
    "upsert_rows",
]
