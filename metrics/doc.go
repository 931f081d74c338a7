// Package metrics contains the daemon's metrics, exports them as Prometheus text and JSON, and
// provides the HTTP server.
//
// # Metrics
//
// A [Set] contains metric families, and a family contains series. [Counter], [Gauge], [IntGauge]
// and [Histogram] are atomic values: any goroutine can update them without a lock and without
// allocating. Series are created in three ways:
//
//   - one at a time with the New methods of Set, with fixed labels; another call with the same name
//     and other label values adds a series to the family;
//   - as a [Vec], with one series for each value of an enumeration;
//   - as a [Row] of a [Group], for objects that are added and removed at run time (ports): all
//     series of a row appear and disappear together.
//
// Everything about a series except its value is rendered when the series is created. A scrape
// copies the rendered bytes and formats the values. [Set.AppendText] and [Set.AppendJSON] therefore
// take no lock, and do not allocate if the buffer is large enough.
//
// # Text
//
// [Set.AppendText] writes the Prometheus text format 0.0.4,
// https://prometheus.io/docs/instrumenting/exposition_formats/. Families are in the order of their
// registration, the rows of a group in natural order of their label (Ethernet2 before Ethernet10).
//
// # JSON
//
// [Set.AppendJSON] writes the same metrics as one object:
//
//	{"schema":1,"families":[
//	 {"name":"...","type":"counter|gauge","help":"...","samples":[
//	  {"labels":{"name":"value"},"value":1}]},
//	 {"name":"...","type":"histogram","help":"...","samples":[
//	  {"labels":{},"buckets":[{"le":"0.1","count":1},{"le":"+Inf","count":2}],"sum":3,"count":2}]},
//	 {"name":"...","type":"summary","help":"...","samples":[
//	  {"labels":{},"quantiles":[{"quantile":"0.5","value":1}],"sum":3,"count":2}]}]}
//
// Integers are exact up to 64 bits. NaN and the infinities, which JSON does not have, are the
// strings "NaN", "+Inf" and "-Inf".
//
// # Samples
//
// [Set.Samples] yields the same metrics value by value, for export in other formats.
//
// # Server
//
// [Server] is designed for hostile clients. Its documentation lists the limits and what happens
// when a limit is reached.
//
// # Not included
//
// The package does not support a global default set, timestamps, OpenMetrics, summaries and quantiles
// computed by the program, exemplars, native histograms, and the removal of families.
package metrics
