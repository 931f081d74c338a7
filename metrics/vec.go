package metrics

import (
	"fmt"
	"slices"
)

// Vec contains one series for each value of an enumeration, for example a counter for each reason.
// All series exist from the start and have the value 0.
type Vec[T any] struct {
	name   string
	values []string
	series []*T
}

// NewCounterVec adds a counter for each of values. label is the name of the label that contains the
// value.
func (s *Set) NewCounterVec(name, help, label string, values ...string) *Vec[Counter] {
	return newVec(name, values, func(value string) *Counter {
		return s.NewCounter(name, help, Label{label, value})
	})
}

// NewGaugeVec adds a gauge for each of values. label is the name of the label that contains the
// value.
func (s *Set) NewGaugeVec(name, help, label string, values ...string) *Vec[Gauge] {
	return newVec(name, values, func(value string) *Gauge {
		return s.NewGauge(name, help, Label{label, value})
	})
}

// NewIntGaugeVec adds an integer gauge for each of values. label is the name of the label that
// contains the value.
func (s *Set) NewIntGaugeVec(name, help, label string, values ...string) *Vec[IntGauge] {
	return newVec(name, values, func(value string) *IntGauge {
		return s.NewIntGauge(name, help, Label{label, value})
	})
}

func newVec[T any](name string, values []string, add func(value string) *T) *Vec[T] {
	v := &Vec[T]{name: name, values: slices.Clone(values)}
	for _, value := range values {
		v.series = append(v.series, add(value))
	}
	return v
}

// At returns the i-th series, counting from 0, in the order of values passed to the constructor. It
// panics if i is out of range.
func (v *Vec[T]) At(i int) *T { return v.series[i] }

// With returns the series for a value. It uses a linear search, so callers should keep the result.
// It panics if there is no such value.
func (v *Vec[T]) With(value string) *T {
	i := slices.Index(v.values, value)
	if i < 0 {
		panic(fmt.Sprintf("metrics: %s has no series for %q", v.name, value))
	}
	return v.series[i]
}
