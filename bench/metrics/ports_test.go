package metrics

import (
	"fmt"
	"strings"

	victoria "github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	ours "portsyncd/metrics"
)

// portFamilies are the families of each port that every library exposes in the comparison. The
// first three alone are the 1,536 series of the smaller comparison.
var portFamilies = []struct {
	name, help string
	counter    bool
}{
	{"portsyncd_port_oper_up", "1 if the kernel reports the port's link as up.", false},
	{"portsyncd_port_admin_up", "1 if the port is set up by the administrator.", false},
	{"portsyncd_port_mtu_bytes", "MTU of the port.", false},
	{"portsyncd_port_carrier_up_changes_total", "Times the kernel saw the carrier come.", true},
	{"portsyncd_port_carrier_down_changes_total", "Times the kernel saw the carrier go.", true},
	{"portsyncd_port_last_change_timestamp_seconds", "Time of the last change.", false},
	{"portsyncd_port_writes_total", "Times the port's row was written.", true},
}

const (
	allFamilies   = 7 // 3,584 series for 512 ports
	threeFamilies = 3 // 1,536
)

// portValue returns the value that all libraries show for a family of port i.
func portValue(family, i int) float64 {
	switch family {
	case 0, 1:
		return float64(i % 2)
	case 2:
		return 9100
	case 5:
		return 1.7e9 + float64(i)*1.001
	}
	return float64(i * 37)
}

func portName(i int) string { return fmt.Sprintf("Ethernet%d", 4*i) }

func ourPorts(ports, families int) *ours.Set {
	set := ours.NewSet()
	addOurPorts(set, ports, families)
	return set
}

func addOurPorts(set *ours.Set, ports, families int) {
	group := set.NewGroup("port")
	var store []func(r *ours.Row, v float64)
	for _, f := range portFamilies[:families] {
		switch {
		case f.counter:
			c := group.NewCounter(f.name, f.help)
			store = append(store, func(r *ours.Row, v float64) { c.In(r).Set(uint64(v)) })
		case strings.HasSuffix(f.name, "_timestamp_seconds"):
			c := group.NewGauge(f.name, f.help)
			store = append(store, func(r *ours.Row, v float64) { c.In(r).Set(v) })
		default:
			c := group.NewIntGauge(f.name, f.help)
			store = append(store, func(r *ours.Row, v float64) { c.In(r).Set(int64(v)) })
		}
	}
	for i := range ports {
		row := group.Add(portName(i))
		for f := range store {
			store[f](row, portValue(f, i))
		}
	}
}

func clientGolangPorts(ports, families int) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	for f, family := range portFamilies[:families] {
		if family.counter {
			vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: family.name, Help: family.help}, []string{"port"})
			for i := range ports {
				vec.WithLabelValues(portName(i)).Add(portValue(f, i))
			}
			reg.MustRegister(vec)
			continue
		}
		vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: family.name, Help: family.help}, []string{"port"})
		for i := range ports {
			vec.WithLabelValues(portName(i)).Set(portValue(f, i))
		}
		reg.MustRegister(vec)
	}
	return reg
}

func victoriaPorts(ports, families int) *victoria.Set {
	set := victoria.NewSet()
	for f, family := range portFamilies[:families] {
		for i := range ports {
			series := fmt.Sprintf("%s{port=%q}", family.name, portName(i))
			if family.counter {
				set.NewCounter(series).Set(uint64(portValue(f, i)))
			} else {
				set.NewGauge(series, nil).Set(portValue(f, i))
			}
		}
	}
	return set
}
