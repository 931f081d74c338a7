// Package push sends the samples of a [metrics.Set] to a time series database
// that takes line protocol over HTTP: InfluxDB 1.x and 2, VictoriaMetrics, and
// what speaks like them.
//
// # What is sent
//
// One batch per interval, with one time stamp, in the line protocol of InfluxDB
// (https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/):
//
//	portsyncd,instance=leaf1,port=Ethernet0 port_admin_up=1,port_oper_up=1,... 1790000000000000000
//
// A sample's name is cut at its first underscore into measurement and field, so
// that VictoriaMetrics, which joins the two by an underscore, has the names that
// Prometheus has. Labels are tags; the tag instance stands for the label that
// Prometheus adds at a scrape. All values are floats, since a field of InfluxDB
// keeps the type it was first written with. NaN and the infinities, for which
// the protocol has no word, are left out.
//
// # When the receiver is slow or gone
//
// [Pusher.Run] is one goroutine that owns a queue of batches, compressed and
// bounded in number. At most one request is under way, in a goroutine of its own,
// so that sampling goes on meanwhile. A failed request is repeated after a pause
// that doubles from 1 s to 60 s, half of it random, or after what Retry-After
// asks for. When the queue is full the oldest batch gives way. What the
// receiver will never take (400, 413, 422 and other answers that name the
// request as the culprit) is dropped at once. Nothing else in the program waits
// for this package: it reads atomics, as a scrape does.
package push
