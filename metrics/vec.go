package metrics

import (
	"fmt"
	"slices"
)

// Vec is one series per value of an enumeration, for example one counter per
// reason. All series exist from the start, at 0.
type Vec[T any] struct {
	name   string
	values []string
	series []*T
}

// NewCounterVec adds a counter for each of values, told apart by label.
func (s *Set) NewCounterVec(name, help, label string, values ...string) *Vec[Counter] {
	return newVec(name, values, func(value string) *Counter {
		return s.NewCounter(name, help, Label{label, value})
	})
}

// NewGaugeVec adds a gauge for each of values, told apart by label.
func (s *Set) NewGaugeVec(name, help, label string, values ...string) *Vec[Gauge] {
	return newVec(name, values, func(value string) *Gauge {
		return s.NewGauge(name, help, Label{label, value})
	})
}

// NewIntGaugeVec adds a gauge of whole numbers for each of values, told apart
// by label.
func (s *Set) NewIntGaugeVec(name, help, label string, values ...string) *Vec[IntGauge] {
	return newVec(name, values, func(value string) *IntGauge {
		return s.NewIntGauge(name, help, Label{label, value})
	})
}

// NewHistogramVec adds a histogram for each of values, told apart by label.
func (s *Set) NewHistogramVec(name, help string, bounds []float64, label string, values ...string) *Vec[Histogram] {
	return newVec(name, values, func(value string) *Histogram {
		return s.NewHistogram(name, help, bounds, Label{label, value})
	})
}

func newVec[T any](name string, values []string, add func(value string) *T) *Vec[T] {
	v := &Vec[T]{name: name, values: slices.Clone(values)}
	for _, value := range values {
		v.series = append(v.series, add(value))
	}
	return v
}

// At returns the series of the i-th value, counting from 0 in the order given
// when the Vec was made. It suits enumerations that are small integers. It
// panics if i is out of range.
func (v *Vec[T]) At(i int) *T { return v.series[i] }

// With returns the series of a value by name. It is meant to be called once
// per value when the program starts, and panics on a value that the Vec was
// not made with.
func (v *Vec[T]) With(value string) *T {
	i := slices.Index(v.values, value)
	if i < 0 {
		panic(fmt.Sprintf("metrics: %s has no series for %q", v.name, value))
	}
	return v.series[i]
}
