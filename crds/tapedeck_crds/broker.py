"""The simulated broker of a Backtest: what an order costs, what it may do, how large it is."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tapedeck_crds.base import Model, NonNegative, Rule, exactly_one_of

LEVERAGE_MAX = 125

Percent = Annotated[float, Field(ge=0, le=100)]


class BrokerOptions(Model):
    """The simulated broker. Market orders fill at the next bar's open; commissions of several kinds add up."""

    cash: Annotated[float, Field(gt=0)] = Field(
        default=10_000.0, description="Money at the start, in the quote currency; more than 0."
    )
    commission_percent: Percent = Field(default=0.0, description="Commission of each fill, percent of its value.")
    maker_percent: Percent | None = Field(
        default=None,
        description="Commission in place of commissionPercent of fills that waited for their price: those of limit "
        "orders at their limit that the bar's open had not reached. commissionPercent if left out.",
    )
    commission_fixed: NonNegative = Field(
        default=0.0, description="Commission of each fill whatever its size, in the quote currency."
    )
    commission_per_unit: NonNegative = Field(
        default=0.0, description="Commission of each unit that is bought or sold, in the quote currency."
    )
    slippage_percent: Percent = Field(
        default=0.0,
        description="How much worse than their price market and stop orders fill, percent; never beyond the bar's "
        "high or low.",
    )
    slippage_fixed: NonNegative = Field(default=0.0, description="The same as an amount in the quote currency.")
    leverage: Annotated[float, Field(ge=1, le=LEVERAGE_MAX)] = Field(
        default=1.0,
        description="How many times its cost in cash a long position may be worth. Nothing is liquidated.",
    )
    shorts: bool = Field(
        default=True,
        description="Whether more may be sold than is there. As in Backtrader the proceeds of a short are cash and no "
        "margin is asked for. If false, a sale that would open a short is rejected as a whole when it would fill.",
    )
    fill: Literal["nextOpen", "close"] = Field(
        default="nextOpen",
        description="Where market orders fill: at the open of the next bar, or at the close of the bar on which the "
        "strategy decided, which no real order gets.",
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.slippagePercent) || !has(self.slippageFixed) || self.slippagePercent == 0.0 || "
            "self.slippageFixed == 0.0",
            message="expected slippagePercent or slippageFixed, not both",
            holds=lambda new, _old: new.slippage_percent == 0 or new.slippage_fixed == 0,
        ),
    )


class Sizer(Model):
    """How much an order without a size buys. While there is a position, percent, valuePercent and amount give its size.

    So ``sell()`` closes what ``buy()`` opened.
    """

    fixed: NonNegative | None = Field(default=None, description="This many units.")
    percent: Percent | None = Field(default=None, description="This share of the free cash, percent.")
    value_percent: Annotated[float, Field(ge=0, le=100 * LEVERAGE_MAX)] | None = Field(
        default=None, description="This share of the account's value, percent; above 100 with leverage."
    )
    amount: NonNegative | None = Field(default=None, description="As many units as cost this, in the quote currency.")
    whole: bool = Field(default=False, description="Whether sizes are rounded down to whole units.")
    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one_of("fixed", "percent", "value_percent", "amount"),
        Rule(
            cel="!has(self.whole) || !self.whole || !has(self.fixed)",
            message="expected no whole beside fixed: that size is taken as it is",
            holds=lambda new, _old: not new.whole or new.fixed is None,
        ),
    )
