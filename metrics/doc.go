// Package metrics holds the daemon's instruments, writes them down as
// Prometheus text or JSON, and serves them over HTTP. It does not know where
// a value comes from or what it means: that is said where the instrument is
// made.
//
// # Instruments
//
// A [Set] owns families; a family owns series. [Counter], [Gauge], [IntGauge]
// and [Histogram] are atomics and nothing else: moving one takes no lock and
// no memory, from any goroutine. Series come into being in three ways:
//
//   - one by one with the Set's New methods, labels fixed for good; calling
//     a New method again with the same name and other label values adds a
//     series to the family;
//   - as a [Vec], one series per value of an enumeration;
//   - as a [Row] of a [Group], for what comes and goes at run time (ports):
//     all the row's series appear and vanish together.
//
// Whatever a series needs to be written, except its value, is rendered when
// the series is made. [Set.AppendText] and [Set.AppendJSON] therefore copy
// prepared bytes and format numbers; given a buffer with room they allocate
// nothing and take no lock, however many goroutines scrape or count at once.
//
// # Text
//
// [Set.AppendText] writes the Prometheus text format 0.0.4, described at
// https://prometheus.io/docs/instrumenting/exposition_formats/. Families
// stand in the order of registration, the rows of a group in natural order
// of their label (Ethernet2 before Ethernet10).
//
// # JSON
//
// [Set.AppendJSON] writes the same reading as one object:
//
//	{"schema":1,"families":[
//	 {"name":"...","type":"counter|gauge","help":"...","samples":[
//	  {"labels":{"name":"value"},"value":1}]},
//	 {"name":"...","type":"histogram","help":"...","samples":[
//	  {"labels":{},"buckets":[{"le":"0.1","count":1},{"le":"+Inf","count":2}],"sum":3,"count":2}]},
//	 {"name":"...","type":"summary","help":"...","samples":[
//	  {"labels":{},"quantiles":[{"quantile":"0.5","value":1}],"sum":3,"count":2}]}]}
//
// Integers are exact up to 64 bits. JSON has no word for NaN and the
// infinities, so these three appear as the strings "NaN", "+Inf" and "-Inf".
//
// # Samples
//
// [Set.Samples] yields the same reading value by value, for whoever writes it in
// a format of another package.
//
// # Server
//
// [Server] is made to be left alone with hostile clients: its comment says
// what is limited and what gives way when a limit is reached.
//
// # Left out on purpose
//
// A global default set; timestamps; OpenMetrics; summaries fed by the program
// and any other quantile (they belong to the query); exemplars; native
// histograms; families removed again.
package metrics
