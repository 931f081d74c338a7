package metrics

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// process collects the process_* families, with the same names and meanings as in client_golang. It
// only uses /proc/self, because a unit with ProcSubset=pid has no other files in /proc. CPU time is
// read with getrusage(2), limits with getrlimit(2), and the start time is computed from clocks
// instead of btime in /proc/stat. The files are kept open, so that a scrape does not allocate.
type process struct {
	statm int // file descriptor of /proc/self/statm
	fds   int // file descriptor of /proc/self/fd

	// On some architectures, the arguments of system calls escape to the heap. Fields of process are
	// there already.
	usage unix.Rusage
	limit unix.Rlimit
	buf   [4096]byte

	cpuSeconds Gauge
	resident   IntGauge
	virtual    IntGauge
	virtualMax Gauge
	openFDs    IntGauge
	maxFDs     Gauge
}

// AddProcess adds the process_* families and opens two files, which stay open. If /proc is not
// mounted, it returns an error and adds none of the families.
func (s *Set) AddProcess() error {
	start, err := processStart()
	if err != nil {
		return fmt.Errorf("read process start time: %w", err)
	}
	p := new(process)
	if p.statm, err = unix.Open("/proc/self/statm", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open /proc/self/statm: %w", err)
	}
	p.fds, err = unix.Open("/proc/self/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		unix.Close(p.statm)
		return fmt.Errorf("open /proc/self/fd: %w", err)
	}

	s.addValue("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
		kindCounter, nil, &p.cpuSeconds)
	s.addValue("process_resident_memory_bytes", "Resident memory size in bytes.",
		kindGauge, nil, &p.resident)
	s.addValue("process_virtual_memory_bytes", "Virtual memory size in bytes.",
		kindGauge, nil, &p.virtual)
	s.addValue("process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.",
		kindGauge, nil, &p.virtualMax)
	s.addValue("process_open_fds", "Number of open file descriptors.",
		kindGauge, nil, &p.openFDs)
	s.addValue("process_max_fds", "Maximum number of open file descriptors.",
		kindGauge, nil, &p.maxFDs)
	s.NewGauge("process_start_time_seconds", "Unix timestamp of the start of the process.").
		Set(float64(start.UnixMilli()) / 1000)
	s.addCollector(p.read)
	return nil
}

// read updates the metrics. A metric that cannot be read keeps its value.
func (p *process) read() {
	if unix.Getrusage(unix.RUSAGE_SELF, &p.usage) == nil {
		p.cpuSeconds.Set(seconds(p.usage.Utime) + seconds(p.usage.Stime))
	}
	if n, err := unix.Pread(p.statm, p.buf[:], 0); err == nil {
		if size, resident, ok := parseStatm(p.buf[:n]); ok {
			page := int64(os.Getpagesize())
			p.virtual.Set(size * page)
			p.resident.Set(resident * page)
		}
	}
	if n, err := p.countFDs(); err == nil {
		p.openFDs.Set(n)
	}
	p.readLimit(unix.RLIMIT_AS, &p.virtualMax)
	p.readLimit(unix.RLIMIT_NOFILE, &p.maxFDs)
}

// readLimit sets g to a soft limit. As in client_golang, "unlimited" is the maximum uint64.
func (p *process) readLimit(resource int, g *Gauge) {
	if unix.Getrlimit(resource, &p.limit) == nil {
		g.Set(float64(p.limit.Cur))
	}
}

// countFDs counts the entries of /proc/self/fd, including the two descriptors of p.
func (p *process) countFDs() (int64, error) {
	if _, err := unix.Seek(p.fds, 0, unix.SEEK_SET); err != nil {
		return 0, err
	}
	count := int64(0)
	for {
		n, err := unix.Getdents(p.fds, p.buf[:])
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return count, nil
		}
		count += countEntries(p.buf[:n])
	}
}

// countEntries counts the names in a getdents64(2) buffer, except for "." and "..".
//
//	struct linux_dirent64 {          // linux/include/linux/dirent.h
//		u64 d_ino; s64 d_off;
//		unsigned short d_reclen;     // offset 16
//		unsigned char d_type;
//		char d_name[];               // offset 19
//	};
func countEntries(b []byte) int64 {
	const reclen, name = 16, 19
	count := int64(0)
	for len(b) > name {
		size := int(binary.NativeEndian.Uint16(b[reclen:]))
		if size <= name || size > len(b) {
			break
		}
		if b[name] != '.' { // descriptors are numbers
			count++
		}
		b = b[size:]
	}
	return count
}

// parseStatm returns the first two numbers of /proc/<pid>/statm: virtual and resident size in pages
// (proc_pid_statm(5)).
func parseStatm(b []byte) (size, resident int64, ok bool) {
	size, b, ok = leadingNumber(b)
	if !ok || len(b) == 0 || b[0] != ' ' {
		return 0, 0, false
	}
	resident, _, ok = leadingNumber(b[1:])
	return size, resident, ok
}

// leadingNumber returns the decimal number at the start of b and the rest of b.
func leadingNumber(b []byte) (n int64, rest []byte, ok bool) {
	i := digits(b)
	if i == 0 || i > 18 { // 18 digits fit in 63 bits
		return 0, b, false
	}
	for _, c := range b[:i] {
		n = n*10 + int64(c-'0')
	}
	return n, b[i:], true
}

// processStart returns the start time of this process with a resolution of 10 ms. The start time in
// /proc/self/stat is relative to the start of CLOCK_BOOTTIME; processStart converts it using the
// current time of both clocks.
func processStart() (time.Time, error) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return time.Time{}, err
	}
	sinceBoot, err := parseStartTime(stat)
	if err != nil {
		return time.Time{}, err
	}
	var boottime unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boottime); err != nil {
		return time.Time{}, fmt.Errorf("read CLOCK_BOOTTIME: %w", err)
	}
	return time.Now().Add(sinceBoot - time.Duration(boottime.Nano())), nil
}

// parseStartTime returns field 22, starttime, of /proc/<pid>/stat (proc_pid_stat(5)). Field 2 is
// the name of the command in parentheses, which may contain any character, so parseStartTime counts
// from the last parenthesis.
func parseStartTime(stat []byte) (time.Duration, error) {
	const field, afterName = 22, 3
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= field-afterName {
		return 0, errors.New("/proc/self/stat has too few fields")
	}
	ticks, err := strconv.ParseInt(string(fields[field-afterName]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse starttime in /proc/self/stat: %w", err)
	}
	// The unit is 1/USER_HZ, and USER_HZ is 100 on all our architectures
	// (linux/include/asm-generic/param.h).
	return time.Duration(ticks) * (time.Second / 100), nil
}

func seconds(t unix.Timeval) float64 { return float64(t.Nano()) / 1e9 }
