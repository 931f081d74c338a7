// Package push sends the samples of a [metrics.Set] to a time series database that accepts line
// protocol over HTTP, such as InfluxDB 1.x, InfluxDB 2 and VictoriaMetrics.
//
// # Format
//
// One batch is sent per interval. It contains all samples with the same timestamp, in InfluxDB line
// protocol (https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/):
//
//	portsyncd,instance=leaf1,port=Ethernet0 port_admin_up=1,port_oper_up=1,... 1790000000000000000
//
// The name of a sample is split at its first underscore into measurement and field. VictoriaMetrics
// joins them with an underscore, so that the series have the same names as in Prometheus. Labels
// are tags. The tag "instance" replaces the label that Prometheus adds at a scrape. All values are
// floats, since InfluxDB does not allow the type of a field to change. NaN and infinities, which
// the protocol does not support, are not sent.
//
// # Slow and unavailable receivers
//
// [Pusher.Run] owns a bounded queue of compressed batches. It sends at most one request at a time,
// in a separate goroutine, so that sampling continues. It repeats a failed request after a backoff
// from 1 s to 60 s with random jitter, or after the time in Retry-After. If the queue is full, it
// drops the oldest batch. It drops a batch at once if the response says that the receiver will
// never accept the batch (400, 413, 422 and other 4xx). No other part of the program waits for this
// package: like a scrape, it reads atomic values.
package push
