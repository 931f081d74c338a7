package snapshot

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// portsBody is a body as a switch with n ports has it, about 120 bytes each.
func portsBody(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"ports":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"Ethernet%d","ifindex":%d,"admin":"up","oper":"down","mtu":9100,"carrier_up":%d,"carrier_down":%d}`, 4*i, 100+i, i, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// BenchmarkSave measures a save with real fsync, in the temporary directory, with a backup and its
// removal.
func BenchmarkSave(b *testing.B) {
	for _, ports := range []int{32, 512} {
		b.Run(fmt.Sprintf("%d ports", ports), func(b *testing.B) {
			f := &File{Path: filepath.Join(b.TempDir(), "state.json"), Schema: 1, Keep: Limits{Count: 3}}
			body := portsBody(ports)
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if err := f.Save(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSaveUnchanged(b *testing.B) {
	f := &File{Path: filepath.Join(b.TempDir(), "state.json"), Schema: 1, Keep: Limits{Count: 3}}
	body := portsBody(512)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.SaveChanged(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, ports := range []int{32, 512} {
		b.Run(fmt.Sprintf("%d ports", ports), func(b *testing.B) {
			f := &File{Path: filepath.Join(b.TempDir(), "state.json"), Schema: 1, Keep: Limits{Count: 3}}
			body := portsBody(ports)
			for range 4 {
				if err := f.Save(body); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := f.Load(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAppend measures an append with real fsync.
func BenchmarkAppend(b *testing.B) {
	l := &Log{Path: filepath.Join(b.TempDir(), "history.jsonl"), MaxFileSize: 100 << 20, MaxSpan: 24 * time.Hour, At: at}
	line := append(bytes.TrimSuffix(portsBody(8), []byte("}")), `,"at":"2026-10-05T12:00:00Z"}`...)
	l.Now = noon
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if err := l.Append(line); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadLog measures reading a month of samples of 1 KB every 5 minutes.
func BenchmarkReadLog(b *testing.B) {
	l := &Log{Path: filepath.Join(b.TempDir(), "history.jsonl"), MaxFileSize: 1 << 20, Keep: Limits{Count: 100}, FS: quick()}
	line := portsBody(8)
	for range 30 * 288 {
		if err := l.Append(line); err != nil {
			b.Fatal(err)
		}
	}
	l.FS = nil
	b.ReportAllocs()
	b.SetBytes(int64(30 * 288 * (len(line) + 1)))
	for b.Loop() {
		stats, err := l.Read(time.Time{}, func([]byte) error { return nil })
		if err != nil || stats.Lines != 30*288 {
			b.Fatal(stats, err)
		}
	}
}
