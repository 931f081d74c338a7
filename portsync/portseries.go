package portsync

import "portsyncd/metrics"

// portMetric describes a metric family that has one series for each port.
type portMetric struct {
	name, help string
	kind       portMetricKind
	value      func(p *Port, c clock) float64
}

type portMetricKind uint8

const (
	intGauge portMetricKind = iota
	floatGauge
	counter
)

// portMetrics lists the families with the label "port". To add one, add an entry here and a row to
// docs/METRICS.md.
var portMetrics = [...]portMetric{
	{"portsyncd_port_present", "Whether the port has an interface and a row in STATE_DB (1) or not (0).",
		intGauge, func(p *Port, _ clock) float64 { return boolValue(p.isPresent()) }},
	{"portsyncd_port_written", "Whether the port's current state has been written to STATE_DB (1) or not (0).",
		intGauge, func(p *Port, _ clock) float64 { return boolValue(p.written()) }},
	{"portsyncd_port_admin_up", "Whether the port is administratively up (1) or not (0).",
		intGauge, func(p *Port, _ clock) float64 { return boolValue(p.Index != 0 && p.Admin) }},
	{"portsyncd_port_oper_up", "Whether the port is operationally up (1) or not (0).",
		intGauge, func(p *Port, _ clock) float64 { return boolValue(p.Index != 0 && p.Oper) }},
	{"portsyncd_port_mtu_bytes", "MTU of the port's interface in bytes, or 0 if there is no interface.",
		intGauge, func(p *Port, _ clock) float64 { return boolValue(p.Index != 0) * float64(p.MTU) }},
	{"portsyncd_port_carrier_up_changes_total", "Total number of link-up transitions counted by the kernel (IFLA_CARRIER_UP_COUNT).",
		counter, func(p *Port, _ clock) float64 { return float64(p.CarrierUp) }},
	{"portsyncd_port_carrier_down_changes_total", "Total number of link-down transitions counted by the kernel (IFLA_CARRIER_DOWN_COUNT).",
		counter, func(p *Port, _ clock) float64 { return float64(p.CarrierDown) }},
	{"portsyncd_port_changes_total", "Total number of writes that created the port's row in STATE_DB or changed one of its fields.",
		counter, func(p *Port, _ clock) float64 { return float64(p.changes) }},
	{"portsyncd_port_last_change_timestamp_seconds", "Unix timestamp of the last change to the port's interface, admin state, oper state, MTU or carrier counters, or 0 if it was before the start and is not recorded.",
		floatGauge, func(p *Port, c clock) float64 { return c.secondsOrZero(p.lastChange()) }},
}

// boolValue returns 1 for true and 0 for false.
func boolValue(b bool) float64 { return float64(bit(b)) }

// bit returns 1 for true and 0 for false.
func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// portColumns holds the metric families that have one series for each port, including
// portsyncd_port_info.
type portColumns struct {
	group   *metrics.Group
	columns []portColumn
	info    metrics.InfoColumn
}

// A portColumn returns, for a row, the function that sets the value of one metric in that row.
type portColumn func(r *metrics.Row) func(value float64)

func newPortColumns(set *metrics.Set) *portColumns {
	c := &portColumns{group: set.NewGroup("port")}
	for i := range portMetrics {
		c.columns = append(c.columns, portMetrics[i].register(c.group))
	}
	c.info = c.group.NewInfo("portsyncd_port_info",
		"Information about the port. The labels hold the fields of its row in the CONFIG_DB table PORT, and are empty if the row does not exist. The value is always 1.", infoLabels...)
	return c
}

func (m *portMetric) register(g *metrics.Group) portColumn {
	switch m.kind {
	case counter:
		column := g.NewCounter(m.name, m.help)
		return func(r *metrics.Row) func(float64) {
			series := column.In(r)
			return func(v float64) { series.Set(uint64(v)) }
		}
	case floatGauge:
		column := g.NewGauge(m.name, m.help)
		return func(r *metrics.Row) func(float64) { return column.In(r).Set }
	}
	column := g.NewIntGauge(m.name, m.help)
	return func(r *metrics.Row) func(float64) {
		series := column.In(r)
		return func(v float64) { series.Set(int64(v)) }
	}
}

// portSeries holds the series of one port.
type portSeries struct {
	row  *metrics.Row
	set  []func(value float64) // setters, by index of portMetrics
	last []float64             // last values, by index of portMetrics

	info     *metrics.Info
	lastInfo *PortInfo // last value of info
}

// add adds one series to each family for the named port. The series have the initial value 0.
func (c *portColumns) add(name string) *portSeries {
	s := &portSeries{row: c.group.Add(name), last: make([]float64, len(portMetrics))}
	s.info = c.info.In(s.row)
	for _, column := range c.columns {
		s.set = append(s.set, column(s.row))
	}
	return s
}

// update sets the series to the current state of p. Usually most values are unchanged.
func (s *portSeries) update(p *Port, c clock) {
	for i := range portMetrics {
		if v := portMetrics[i].value(p, c); v != s.last[i] {
			s.set[i](v)
			s.last[i] = v
		}
	}
	s.updateInfo(p.info)
}

// updateInfo sets the labels of portsyncd_port_info. It allocates only if info has changed, which is
// after a change of CONFIG_DB.
func (s *portSeries) updateInfo(info *PortInfo) {
	if info == s.lastInfo {
		return
	}
	s.lastInfo = info
	if info == nil {
		info = new(PortInfo)
	}
	all := info.values()
	values := make([]string, len(all))
	for i, v := range all {
		values[i] = *v
	}
	s.info.Set(values...)
}
