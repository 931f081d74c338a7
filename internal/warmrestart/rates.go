package warmrestart

import "portsyncd/internal/warmrestart/stats"

// tally holds the counts from which rates are computed.
type tally struct {
	starts, late      uint64 // all starts; starts whose dump did not end in time
	warm, recovered   uint64 // all warm starts; healthy ones
	corrupt, restored uint64 // corrupt files; corrupt files that had an intact backup

	requests, failed uint64 // Redis requests; failed Redis requests
}

// RateDefinition defines a rate, whose numerator Count counts a subset of its denominator Of.
type RateDefinition struct {
	Key       string // JSON member of Analysis
	Name      string // name in a report
	Count, Of string // what is counted, for a report

	count, of func(*tally) uint64
	in        func(*Analysis) **stats.Rate
}

// Rates defines the rates of an Analysis, in the order of a report.
var Rates = []RateDefinition{
	{
		"recovery_success_rate", "warm starts that succeeded",
		"warm starts whose initial dump completed in time", "warm starts",
		func(t *tally) uint64 { return t.recovered }, func(t *tally) uint64 { return t.warm },
		func(a *Analysis) **stats.Rate { return &a.Recovery },
	},
	{
		"corruption_recovery_rate", "corrupt files recovered",
		"corrupt files that had an intact backup, counted across restarts", "corrupt files, including backups, counted across restarts",
		func(t *tally) uint64 { return t.restored }, func(t *tally) uint64 { return t.corrupt },
		func(a *Analysis) **stats.Rate { return &a.Corruption },
	},
	{
		"eoiu_timeout_rate", "starts that timed out",
		"starts whose initial dump timed out", "starts",
		func(t *tally) uint64 { return t.late }, func(t *tally) uint64 { return t.starts },
		func(a *Analysis) **stats.Rate { return &a.Timeouts },
	},
	{
		"exchange_failure_rate", "failed Redis requests",
		"failed Redis requests between samples of the same process", "all Redis requests between samples of the same process",
		func(t *tally) uint64 { return t.failed }, func(t *tally) uint64 { return t.requests },
		func(a *Analysis) **stats.Rate { return &a.Failures },
	},
}

// In returns the value of the rate d in an analysis, or nil if its denominator is 0.
func (d *RateDefinition) In(a *Analysis) *stats.Rate { return *d.in(a) }

// rate computes all rates.
func (a *Analysis) rate(t *tally) {
	for i := range Rates {
		d := &Rates[i]
		*d.in(a) = stats.RateOf(d.count(t), d.of(t))
	}
}
