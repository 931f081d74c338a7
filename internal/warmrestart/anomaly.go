package warmrestart

import (
	"cmp"
	"math"
	"slices"
	"time"

	"portsyncd/internal/warmrestart/stats"
)

// findAnomalies looks in each series for values far above the others, by the
// modified z-score. How long something takes has no upper end and many small
// values, so logarithms are compared, which the score is made for. Of the events
// only rates above one in a second are looked at: on a switch at rest any event is
// out of the ordinary.
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

// rate is in events each second, NaN if there is no sample before.
func (m moment) rate() float64 {
	return float64(m.events) / (float64(m.at-m.since) / 1e9) // 0/0 is NaN
}

// series is values in time.
type series struct {
	name  string
	n     int
	at    func(i int) (time.Time, float64) // a value that is not a number is none
	logs  bool                             // compare logarithms; values up to 0 are none
	least float64                          // an anomaly is above this
}

func (s *series) anomalies() (found []Anomaly) {
	values := make([]float64, s.n)
	for i := range values {
		_, values[i] = s.at(i)
		if s.logs {
			values[i] = math.Log(values[i]) // NaN or -Inf up to 0
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
