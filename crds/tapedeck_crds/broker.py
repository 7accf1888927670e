"""The simulated broker of a Backtest: costs, leverage, fills and sizes of orders."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tapedeck_crds.base import Model, NonNegative, Rule, exactly_one_of

LEVERAGE_MAX = 125

Percent = Annotated[float, Field(ge=0, le=100)]


class BrokerOptions(Model):
    """The simulated broker. Market orders fill at the next bar's open; commissions add up."""

    cash: Annotated[float, Field(gt=0)] = Field(
        default=10_000.0, description="Initial cash in the quote currency; more than 0."
    )
    commission_percent: Percent = Field(default=0.0, description="Commission of each fill, percent of its value.")
    maker_percent: Percent | None = Field(
        default=None,
        description="Commission, in place of commissionPercent, of maker fills: limit orders that fill at their limit, "
        "which the bar's open had not reached. commissionPercent if omitted.",
    )
    commission_fixed: NonNegative = Field(
        default=0.0, description="Commission of each fill, independent of its size, in the quote currency."
    )
    commission_per_unit: NonNegative = Field(default=0.0, description="Commission per unit, in the quote currency.")
    slippage_percent: Percent = Field(
        default=0.0,
        description="Slippage of market and stop orders, percent of the price; fills stay within the bar's high and "
        "low.",
    )
    slippage_fixed: NonNegative = Field(default=0.0, description="Slippage as an amount in the quote currency.")
    leverage: Annotated[float, Field(ge=1, le=LEVERAGE_MAX)] = Field(
        default=1.0,
        description="Maximum value of a long position as a multiple of the cash for it. Nothing is liquidated.",
    )
    shorts: bool = Field(
        default=True,
        description="Whether short positions are allowed. As in Backtrader, the proceeds of a short sale are cash, and "
        "no margin is required. If false, a sale that would open a short is rejected as a whole when it would fill.",
    )
    fill: Literal["nextOpen", "close"] = Field(
        default="nextOpen",
        description="Price of market orders: the open of the next bar, or the close of the bar on which the strategy "
        "decided, which no real order gets.",
    )
    cheat_on_open: bool = Field(
        default=False,
        description="Whether next_open of the strategy is called: with a bar, before orders are matched, so that its "
        "market orders fill at the open of that bar. It can read the whole bar, of which a real order knows the open.",
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.cheatOnOpen) || !self.cheatOnOpen || !has(self.fill) || self.fill == 'nextOpen'",
            message="expected fill nextOpen with cheatOnOpen: an order made at a bar's open cannot fill at its close",
            holds=lambda new, _old: not new.cheat_on_open or new.fill == "nextOpen",
        ),
        Rule(
            cel="!has(self.slippagePercent) || !has(self.slippageFixed) || self.slippagePercent == 0.0 || "
            "self.slippageFixed == 0.0",
            message="expected slippagePercent or slippageFixed, not both",
            holds=lambda new, _old: new.slippage_percent == 0 or new.slippage_fixed == 0,
        ),
    )


class Sizer(Model):
    """The size of orders without one. With an open position, percent, valuePercent and amount use its size.

    So ``sell()`` closes the position that ``buy()`` opened.
    """

    fixed: NonNegative | None = Field(default=None, description="A number of units.")
    percent: Percent | None = Field(default=None, description="Share of the free cash, percent.")
    value_percent: Annotated[float, Field(ge=0, le=100 * LEVERAGE_MAX)] | None = Field(
        default=None, description="Share of the account's value, percent; above 100 with leverage."
    )
    amount: NonNegative | None = Field(default=None, description="Value of the position, in the quote currency.")
    whole: bool = Field(default=False, description="Whether sizes are rounded down to whole units.")
    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one_of("fixed", "percent", "value_percent", "amount"),
        Rule(
            cel="!has(self.whole) || !self.whole || !has(self.fixed)",
            message="expected no whole beside fixed, whose size is not rounded",
            holds=lambda new, _old: not new.whole or new.fixed is None,
        ),
    )
