package metrics

import "iter"

// Sample is the value of one series at one time.
type Sample struct {
	Name   string  // a histogram x has samples x_bucket, x_sum and x_count
	Labels []Label // read only; includes le for a bucket, quantile for a summary
	Value  float64 // integers are exact up to 2^53
}

// Samples yields all samples of the set, with the names, labels, values and order of
// [Set.AppendText]. It is safe for concurrent use and takes no lock.
func (s *Set) Samples() iter.Seq[Sample] {
	return func(yield func(Sample) bool) {
		s.collect()
		for _, f := range *s.families.Load() {
			for _, b := range *f.blocks.Load() {
				if !b.eachSample(f.name, yield) {
					return
				}
			}
		}
	}
}

func (s *sample) eachSample(name string, yield func(Sample) bool) bool {
	return yield(Sample{name, s.labels, s.value.number()})
}

func (c *column) eachSample(name string, yield func(Sample) bool) bool {
	rows := c.group.rows.Load()
	if rows == nil {
		return true
	}
	for _, r := range *rows {
		if !yield(Sample{name, r.label[:], c.value(r).number()}) {
			return false
		}
	}
	return true
}

func (s *histogramSeries) eachSample(name string, yield func(Sample) bool) bool {
	counts, sum := s.h.Read(nil)
	bounds, total := s.rendered().bounds, uint64(0)
	for i, n := range counts {
		total += n
		if !yield(Sample{name + "_bucket", bounds[i], float64(total)}) {
			return false
		}
	}
	return yield(Sample{name + "_sum", s.labels, sum}) &&
		yield(Sample{name + "_count", s.labels, float64(total)})
}

func (p *pauseSummary) eachSample(name string, yield func(Sample) bool) bool {
	for i, q := range pauseQuantiles {
		if !yield(Sample{name, []Label{{"quantile", q}}, p.quantiles[i].number()}) {
			return false
		}
	}
	return yield(Sample{name + "_sum", nil, p.sum.number()}) &&
		yield(Sample{name + "_count", nil, p.count.number()})
}

func (c *Counter) number() float64    { return float64(c.Load()) }
func (f counterFunc) number() float64 { return float64(f()) }
func (g *Gauge) number() float64      { return g.Load() }
func (g *IntGauge) number() float64   { return float64(g.Load()) }
func (f floatFunc) number() float64   { return f() }
