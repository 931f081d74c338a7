package warmrestart

import "portsyncd/internal/warmrestart/stats"

// tally is what rates are made of.
type tally struct {
	starts, late    uint64 // starts considered; those of them whose dump did not end in time
	warm, recovered uint64 // warm starts considered; those of them that were healthy
	damaged, mended uint64 // damaged files over all time; those of them with a good backup

	exchanges, failed uint64 // with the databases, in the samples considered
}

// RateDefinition says what a rate is: the share of Count among Of. Nothing is left out
// of Of that could be in Count.
type RateDefinition struct {
	Key       string // in the JSON of Analysis
	Name      string // as a report shows it
	Count, Of string // what is counted

	count, of func(*tally) uint64
	in        func(*Analysis) **stats.Rate
}

// Rates are the definitions of all rates of an Analysis, in the order of a report.
var Rates = []RateDefinition{
	{
		"recovery_success_rate", "warm starts that succeeded",
		"warm starts whose initial dump was read to its end in time", "warm starts",
		func(t *tally) uint64 { return t.recovered }, func(t *tally) uint64 { return t.warm },
		func(a *Analysis) **stats.Rate { return &a.Recovery },
	},
	{
		"corruption_recovery_rate", "damaged files recovered",
		"damaged files for which a good backup was found, over all time", "damaged files, backups included, over all time",
		func(t *tally) uint64 { return t.mended }, func(t *tally) uint64 { return t.damaged },
		func(a *Analysis) **stats.Rate { return &a.Corruption },
	},
	{
		"eoiu_timeout_rate", "starts that timed out",
		"starts whose initial dump did not end in time", "starts",
		func(t *tally) uint64 { return t.late }, func(t *tally) uint64 { return t.starts },
		func(a *Analysis) **stats.Rate { return &a.Timeouts },
	},
	{
		"exchange_failure_rate", "exchanges that failed",
		"exchanges with the databases that failed, between samples of one process", "exchanges with the databases, between samples of one process",
		func(t *tally) uint64 { return t.failed }, func(t *tally) uint64 { return t.exchanges },
		func(a *Analysis) **stats.Rate { return &a.Failures },
	},
}

// In returns the rate in an analysis, nil if there is nothing to take a share of.
func (d *RateDefinition) In(a *Analysis) *stats.Rate { return *d.in(a) }

// rate calculates all rates.
func (a *Analysis) rate(t *tally) {
	for i := range Rates {
		d := &Rates[i]
		*d.in(a) = stats.RateOf(d.count(t), d.of(t))
	}
}
