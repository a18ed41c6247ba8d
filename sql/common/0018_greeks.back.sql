-- loses: implied volatilities and Greeks, and the interest rates and dividend yields they were computed with
DROP FUNCTION option_greeks_of;
DROP TABLE option_greeks;
DROP FUNCTION dividend_yields_as_of;
DROP TABLE dividend_yields_history;
DROP TABLE dividend_yields;
DROP FUNCTION interest_rates_as_of;
DROP TABLE interest_rates_history;
DROP TABLE interest_rates;
