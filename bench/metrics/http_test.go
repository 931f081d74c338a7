package metrics

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	ours "portsyncd/metrics"
)

// BenchmarkHTTPScrape scrapes over one loopback connection that stays open. It counts the
// allocations of the server and the few of a client that only reads.
func BenchmarkHTTPScrape(b *testing.B) {
	for _, encoding := range []string{"identity", "gzip"} {
		b.Run("512_ports_3584_series/"+encoding+"/portsyncd", func(b *testing.B) {
			cfg := ours.ServerConfig{Listen: []ours.Endpoint{{Network: "tcp", Address: "127.0.0.1:0"}}}
			src := ours.Sources{Set: ourPorts(512, allFamilies)}
			s, err := ours.NewServer(cfg, src, slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			s.Start()
			defer shutdown(b, s)
			benchmarkScrapes(b, s.Addrs()[0].String(), encoding)
		})
		b.Run("512_ports_3584_series/"+encoding+"/promhttp", func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			s := &http.Server{Handler: promhttp.HandlerFor(clientGolangPorts(512, allFamilies), promhttp.HandlerOpts{})}
			go s.Serve(l)
			defer shutdown(b, s)
			benchmarkScrapes(b, l.Addr().String(), encoding)
		})
	}
}

func shutdown(b *testing.B, s interface{ Shutdown(context.Context) error }) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		b.Error(err)
	}
}

func benchmarkScrapes(b *testing.B, address, encoding string) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	request := fmt.Appendf(nil, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: %s\r\n\r\n", encoding)
	r := bufio.NewReaderSize(c, 64<<10)
	b.ReportAllocs()
	size := int64(0)
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			b.Fatal(err)
		}
		size, err = io.Copy(io.Discard, resp.Body)
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(resp.Status, err)
		}
	}
	b.ReportMetric(float64(size), "body-bytes")
}
