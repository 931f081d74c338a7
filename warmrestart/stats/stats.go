// Package stats is the arithmetic of the analytics: quantiles, rates with their
// interval, trends and outliers. Each function names its definition and source.
package stats

// Summary describes a sample of observations.
type Summary struct {
	N    int     `json:"n"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Few  bool    `json:"few"` // too few observations for P95 and P99 to mean much
}

// Rate is a share of successes or failures with its Wilson score interval.
type Rate struct {
	Count uint64  `json:"count"`
	Of    uint64  `json:"of"` // above 0
	Value float64 `json:"value"`
	Low   float64 `json:"low"`  // of the interval at 95 %
	High  float64 `json:"high"` // likewise
	Few   bool    `json:"few"`
}

// Trend is a Mann-Kendall test with the Theil-Sen slope.
type Trend struct {
	N     int     `json:"n"`
	S     int64   `json:"s"`     // Mann-Kendall statistic
	P     float64 `json:"p"`     // two-sided
	Slope float64 `json:"slope"` // Theil-Sen, per unit of the abscissa
	Low   float64 `json:"low"`   // of the slope's confidence interval at 95 %
	High  float64 `json:"high"`  // likewise
}
