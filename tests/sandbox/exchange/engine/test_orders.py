"""The order book by itself."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import RejectedError
from pipelines.sandbox.exchange.engine.orders import MOST_ORDERS, Book, Order, Side

NOON = datetime.fromisoformat("2026-03-02T12:00:00+00:00")


def order(side: Side, asset: str, energy_kwh: float, rate_ct: float, name: str = "") -> Order:
    price_ct = energy_kwh * rate_ct
    return Order(
        id=name or f"{side}-{asset}",
        side=side,
        asset=asset,
        trader=asset.upper(),
        slot=NOON,
        energy_kwh=energy_kwh,
        price_ct=price_ct,
        original_price_ct=price_ct,
        created_at=NOON,
    )


@pytest.fixture
def book() -> Book:
    opened = Book()
    opened.turn(NOON)
    return opened


def test_bid_meets_the_cheapest_offers_it_can_pay(book: Book) -> None:
    for asset, rate_ct in (("dear", 25), ("cheap", 10), ("middle", 15)):
        assert book.post(order(Side.OFFER, asset, 0.25, rate_ct), replace_existing=True) == []
    trades = book.post(order(Side.BID, "load", 0.4, 20), replace_existing=True)
    assert [(one.offer.asset, one.energy_kwh) for one in trades] == [("cheap", 0.25), ("middle", pytest.approx(0.15))]
    assert [one.rate_ct for one in trades] == [pytest.approx(20), pytest.approx(20)], "what was bid is paid"
    assert book.open_kwh("middle", Side.OFFER) == pytest.approx(0.1)
    assert book.open_kwh("dear", Side.OFFER) == 0.25
    assert book.open_orders("load", Side.BID) == []


def test_what_is_left_of_an_order_has_an_id_of_its_own(book: Book) -> None:
    book.post(order(Side.OFFER, "pv", 1.0, 10), replace_existing=True)
    (trade,) = book.post(order(Side.BID, "load", 0.4, 20), replace_existing=True)
    (rest,) = book.open_orders("pv", Side.OFFER)
    assert trade.residuals == {Side.OFFER: rest.id}
    assert rest.id != "offer-pv"
    assert (rest.energy_kwh, rest.rate_ct) == (pytest.approx(0.6), pytest.approx(10))


def test_new_order_replaces_the_old_ones_or_stands_beside_them(book: Book) -> None:
    book.post(order(Side.BID, "load", 0.4, 20, "first"), replace_existing=True)
    book.post(order(Side.BID, "load", 0.3, 20, "second"), replace_existing=False)
    assert [one.id for one in book.open_orders("load", Side.BID)] == ["first", "second"]
    book.post(order(Side.BID, "load", 0.2, 20, "third"), replace_existing=True)
    assert [one.id for one in book.open_orders("load", Side.BID)] == ["third"]


def test_orders_are_taken_back_by_id_or_all_together(book: Book) -> None:
    for name in ("a", "b", "c"):
        book.post(order(Side.BID, "load", 0.1, 20, name), replace_existing=False)
    assert book.delete("load", Side.BID, "b") == ["b"]
    with pytest.raises(RejectedError):
        book.delete("load", Side.BID, "b")
    assert book.delete("load", Side.BID, None) == ["a", "c"]


def test_slot_ends_its_orders_and_keeps_its_trades_for_one_more(book: Book) -> None:
    book.post(order(Side.OFFER, "pv", 1.0, 10), replace_existing=True)
    book.post(order(Side.BID, "load", 0.4, 20), replace_existing=True)
    book.turn(NOON)
    assert book.open_kwh("pv", Side.OFFER) == pytest.approx(0.6)
    for quarters, known in ((1, 1), (2, 0)):
        book.turn(NOON + quarters * timedelta(minutes=15))
        assert book.open_orders("pv", Side.OFFER) == []
        assert len(book.trades(NOON)) == known


def test_an_asset_cant_fill_the_memory(book: Book) -> None:
    for number in range(MOST_ORDERS):
        book.post(order(Side.BID, "load", 0.1, 20, str(number)), replace_existing=False)
    with pytest.raises(RejectedError, match="delete some first"):
        book.post(order(Side.BID, "load", 0.1, 20, "one more"), replace_existing=False)


def test_an_order_that_is_gone_meets_nothing(book: Book) -> None:
    for rate_ct in range(1, 3000):
        book.post(order(Side.OFFER, "pv", 1.0, rate_ct / 100, str(rate_ct)), replace_existing=True)
    (trade,) = book.post(order(Side.BID, "load", 0.4, 40), replace_existing=True)
    assert trade.offer.id == "2999"
    assert book.traded("pv", Side.OFFER) == (0.4, pytest.approx(16.0))


def test_an_asset_doesnt_trade_with_itself(book: Book) -> None:
    book.post(order(Side.OFFER, "battery", 1.0, 10), replace_existing=True)
    book.post(order(Side.OFFER, "pv", 1.0, 11), replace_existing=True)
    (trade,) = book.post(order(Side.BID, "battery", 0.4, 20), replace_existing=True)
    assert trade.offer.asset == "pv"
    (trade,) = book.post(order(Side.BID, "load", 0.4, 20), replace_existing=True)
    assert trade.offer.asset == "battery", "it stands as before"


@given(
    st.lists(st.tuples(st.sampled_from(Side), st.integers(0, 5), st.floats(0.001, 10), st.integers(1, 40)), max_size=30)
)
def test_energy_is_neither_made_nor_lost(posted: list[tuple[Side, int, float, int]]) -> None:
    book = Book()
    book.turn(NOON)
    for number, (side, asset, energy_kwh, rate_ct) in enumerate(posted):
        book.post(order(side, f"asset-{asset}", energy_kwh, rate_ct, str(number)), replace_existing=False)
    traded = sum(one.energy_kwh for one in book.trades(NOON))
    for side in Side:
        entered = sum(energy_kwh for which, _, energy_kwh, _ in posted if which is side)
        still_open = sum(book.open_kwh(f"asset-{asset}", side) for asset in range(6))
        # What is left of an order below the engine's tolerance is dropped.
        assert still_open + traded == pytest.approx(entered, abs=2e-5 * (len(posted) + 1))
    for trade in book.trades(NOON):
        assert trade.offer.rate_ct <= trade.rate_ct * (1 + 1e-9)
        assert trade.bid.asset != trade.offer.asset
