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
	{"portsyncd_port_last_change_timestamp_seconds", "Unix timestamp of the last change to the port's interface, admin state, oper state, MTU or carrier counters, or 0 if it was before the initial sync and is not recorded.",
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

// portColumn is the column of one of portMetrics. Only the field for its kind is used.
type portColumn struct {
	*portMetric
	counter metrics.CounterColumn
	gauge   metrics.GaugeColumn
	integer metrics.IntGaugeColumn
}

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
	c := portColumn{portMetric: m}
	switch m.kind {
	case counter:
		c.counter = g.NewCounter(m.name, m.help)
	case floatGauge:
		c.gauge = g.NewGauge(m.name, m.help)
	default:
		c.integer = g.NewIntGauge(m.name, m.help)
	}
	return c
}

// set sets the value of the series in row r. Values of integer series are integers below 2^53.
func (c *portColumn) set(r *metrics.Row, v float64) {
	switch c.kind {
	case counter:
		c.counter.In(r).Set(uint64(v))
	case floatGauge:
		c.gauge.In(r).Set(v)
	default:
		c.integer.In(r).Set(int64(v))
	}
}

// get returns the value of the series in row r.
func (c *portColumn) get(r *metrics.Row) float64 {
	switch c.kind {
	case counter:
		return float64(c.counter.In(r).Load())
	case floatGauge:
		return c.gauge.In(r).Load()
	default:
		return float64(c.integer.In(r).Load())
	}
}

// portSeries holds the series of one port.
type portSeries struct {
	row  *metrics.Row
	of   *portColumns
	info *PortInfo // in the labels of portsyncd_port_info; nil if they are empty
}

// add adds one series to each family for the named port. The series have the initial value 0.
func (c *portColumns) add(name string) *portSeries { return &portSeries{row: c.group.Add(name), of: c} }

// update sets the series to the current state of p. Usually most values are unchanged, and a load is
// cheaper than a store.
func (s *portSeries) update(p *Port, c clock) {
	for i := range s.of.columns {
		column := &s.of.columns[i]
		if v := column.value(p, c); v != column.get(s.row) {
			column.set(s.row, v)
		}
	}
	s.updateInfo(p.info)
}

// updateInfo sets the labels of portsyncd_port_info. It allocates only if info has changed, which is
// after a change of CONFIG_DB.
func (s *portSeries) updateInfo(info *PortInfo) {
	if info == s.info {
		return
	}
	s.info = info
	if info == nil {
		info = new(PortInfo)
	}
	all := info.values()
	values := make([]string, len(all))
	for i, v := range all {
		values[i] = *v
	}
	s.of.info.In(s.row).Set(values...)
}
