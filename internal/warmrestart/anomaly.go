package warmrestart

import (
	"cmp"
	"math"
	"slices"
	"time"

	"portsyncd/internal/warmrestart/stats"
)

// findAnomalies finds values with a high modified z-score in each series. The score assumes a
// symmetric distribution; durations have a long tail, so their logarithms are compared. Event rates
// of up to one per second are no anomalies: on an idle switch the median is 0.
func (a *Analysis) findAnomalies(h *History) {
	var found []Anomaly
	for _, s := range []series{
		{name: SeriesSync, n: len(h.Restarts), logs: true, at: func(i int) (time.Time, float64) {
			return h.Restarts[i].At, h.Restarts[i].Duration.Seconds()
		}},
		{name: SeriesEOIU, n: len(h.Restarts), logs: true, at: func(i int) (time.Time, float64) {
			return h.Restarts[i].At, h.Restarts[i].EOIULatency.Seconds()
		}},
		{name: SeriesLatency, n: len(h.moments), logs: true, at: func(i int) (time.Time, float64) {
			return time.Unix(0, h.moments[i].at).UTC(), float64(h.moments[i].p99) / 1e9
		}},
		{name: SeriesEvents, n: len(h.moments), least: 1, at: func(i int) (time.Time, float64) {
			return time.Unix(0, h.moments[i].at).UTC(), h.moments[i].rate()
		}},
	} {
		found = append(found, s.anomalies()...)
	}
	a.AnomaliesFound = len(found)
	slices.SortStableFunc(found, func(a, b Anomaly) int { return cmp.Compare(b.Score, a.Score) })
	found = append([]Anomaly{}, found[:min(len(found), MaxAnomalies)]...)
	slices.SortStableFunc(found, func(a, b Anomaly) int { return a.At.Compare(b.At) })
	a.Anomalies = found
}

// rate returns the number of events per second since the previous sample, or NaN if there is no
// previous sample.
func (m moment) rate() float64 {
	return float64(m.events) / (float64(m.at-m.since) / 1e9) // 0/0 is NaN
}

// series is a series of values by time.
type series struct {
	name  string
	n     int
	at    func(i int) (time.Time, float64) // NaN if there is no value
	logs  bool                             // compare logarithms; values up to 0 are ignored
	least float64                          // anomalies are above this
}

func (s *series) anomalies() (found []Anomaly) {
	values := make([]float64, s.n)
	for i := range values {
		_, values[i] = s.at(i)
		if s.logs {
			values[i] = math.Log(values[i]) // NaN or -Inf for values up to 0
		}
	}
	spread, ok := stats.SpreadOf(values)
	if !ok || spread.N < stats.FewObservations {
		return nil
	}
	median := spread.Median
	if s.logs {
		median = math.Exp(median)
	}
	for i, v := range values {
		if v > spread.Median && !math.IsInf(v, 0) && spread.IsOutlier(v) {
			at, value := s.at(i)
			if value > s.least {
				found = append(found, Anomaly{At: at, Series: s.name, Value: value, Median: median, Score: spread.Score(v)})
			}
		}
	}
	return found
}
