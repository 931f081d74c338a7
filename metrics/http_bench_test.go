package metrics

import (
	"fmt"
	"io"
	"net/http"
	"testing"
)

// BenchmarkExport measures a scrape over HTTP, from the request to the last byte of the response.
// The specification requires less than 100 ms for 512 ports.
func BenchmarkExport(b *testing.B) {
	for _, ports := range []int{512, 5000} {
		for _, path := range []string{"/metrics", "/metrics.json"} {
			b.Run(fmt.Sprintf("%d_ports%s", ports, path), func(b *testing.B) {
				set, _, _ := fullSet(b, ports)
				_, base := startServer(b, ServerConfig{}, Sources{Set: set})
				client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
				b.ReportAllocs()
				for b.Loop() {
					resp, err := client.Get(base + path)
					if err != nil {
						b.Fatal(err)
					}
					n, err := io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if err != nil || resp.StatusCode != http.StatusOK {
						b.Fatalf("status %d, %v", resp.StatusCode, err)
					}
					b.SetBytes(n)
				}
			})
		}
	}
}
