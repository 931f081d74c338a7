package snapshot

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// memFS is a directory in memory that simulates power cuts: data survives if it was synced, and names if
// their directory was synced. Each unsynced change may survive or not, independently, which is worse
// than in real file systems (ALICE, OSDI 2014, section 2).
type memFS struct {
	names   map[string]*inode // as the process sees them
	durable map[string]*inode // as of the last fsync of the directory
	pending []func(names map[string]*inode)
}

type inode struct {
	data   []byte
	synced []byte // as of the last fsync
	mode   fs.FileMode
	time   time.Time
}

func newMemFS() *memFS {
	return &memFS{names: map[string]*inode{}, durable: map[string]*inode{}}
}

// change changes names, which becomes durable at the next fsync.
func (m *memFS) change(do func(names map[string]*inode)) {
	do(m.names)
	m.pending = append(m.pending, do)
}

func (m *memFS) find(op, path string) (*inode, error) {
	node := m.names[path]
	if node == nil {
		return nil, &fs.PathError{Op: op, Path: path, Err: syscall.ENOENT}
	}
	return node, nil
}

func (m *memFS) Open(path string, flags int, mode fs.FileMode) (Handle, error) {
	if flags&syscall.O_DIRECTORY != 0 {
		return &memDir{m}, nil
	}
	node, err := m.find("open", path)
	switch {
	case err == nil && flags&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EEXIST}
	case err != nil && flags&os.O_CREATE == 0:
		return nil, err
	case err != nil:
		node = &inode{mode: mode}
		m.change(func(names map[string]*inode) { names[path] = node })
	}
	return &memFile{inode: node, info: memInfo{filepath.Base(path), node}}, nil
}

func (m *memFS) Link(from, to string) error {
	node, err := m.find("link", from)
	if err != nil {
		return err
	}
	m.change(func(names map[string]*inode) { names[to] = node })
	return nil
}

func (m *memFS) Rename(from, to string) error {
	node, err := m.find("rename", from)
	if err != nil {
		return err
	}
	m.change(func(names map[string]*inode) {
		delete(names, from)
		names[to] = node
	})
	return nil
}

func (m *memFS) Unlink(path string) error {
	if _, err := m.find("unlink", path); err != nil {
		return err
	}
	m.change(func(names map[string]*inode) { delete(names, path) })
	return nil
}

func (m *memFS) Lstat(path string) (fs.FileInfo, error) {
	node, err := m.find("lstat", path)
	if err != nil {
		return nil, err
	}
	return memInfo{filepath.Base(path), node}, nil
}

func (m *memFS) List(dir string, each func(name string)) error {
	for _, path := range slices.Sorted(maps.Keys(m.names)) {
		each(filepath.Base(path))
	}
	return nil
}

// losses returns the possible ends of a file after a power cut, given the end that was synced and the
// current one.
var losses = []func(synced, now []byte) []byte{
	func(synced, now []byte) []byte { return synced },                 // the change did not get through
	func(synced, now []byte) []byte { return now },                    // it did
	func(synced, now []byte) []byte { return now[:len(now)/2] },       // its beginning did
	func(synced, now []byte) []byte { return make([]byte, len(now)) }, // the size did, the data did not
}

func commonPrefix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// survivors calls each with each directory that a power cut can leave.
func (m *memFS) survivors(each func(after *memFS)) {
	for set := range 1 << len(m.pending) {
		names := maps.Clone(m.durable)
		for i, do := range m.pending {
			if set&(1<<i) != 0 {
				do(names)
			}
		}
		for _, loss := range losses {
			after := newMemFS()
			for path, n := range names {
				data := n.data
				if !bytes.Equal(n.synced, n.data) {
					safe := commonPrefix(n.synced, n.data)
					tail := loss(n.synced[safe:], n.data[safe:])
					data = append(slices.Clone(n.data[:safe]), tail...)
				}
				after.names[path] = &inode{data: data, synced: data, mode: n.mode, time: n.time}
			}
			after.durable = maps.Clone(after.names)
			each(after)
		}
	}
}

type memInfo struct {
	name string
	node *inode
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return int64(len(i.node.data)) }
func (i memInfo) Mode() fs.FileMode  { return i.node.mode }
func (i memInfo) ModTime() time.Time { return i.node.time }
func (i memInfo) IsDir() bool        { return false }
func (i memInfo) Sys() any           { return nil }

type memFile struct {
	*inode
	info memInfo
	pos  int
}

func (f *memFile) Write(p []byte) (int, error) {
	f.data = append(f.data, p...)
	return len(p), nil
}

func (f *memFile) Read(p []byte) (int, error) {
	if f.pos == len(f.data) {
		return 0, io.EOF
	}
	n := copy(p, f.data[f.pos:])
	f.pos += n
	return n, nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.data).ReadAt(p, off)
}

func (f *memFile) Stat() (fs.FileInfo, error)   { return f.info, nil }
func (f *memFile) Chmod(mode fs.FileMode) error { f.mode = mode; return nil }
func (f *memFile) Close() error                 { return nil }

func (f *memFile) Truncate(size int64) error {
	f.data = f.data[:size:size]
	return nil
}

func (f *memFile) Sync() error {
	f.synced = append([]byte{}, f.data...)
	return nil
}

// memDir is the directory; only Sync and Close are used.
type memDir struct{ m *memFS }

func (d *memDir) Sync() error {
	d.m.durable, d.m.pending = maps.Clone(d.m.names), nil
	return nil
}

func (d *memDir) Close() error                    { return nil }
func (*memDir) Write([]byte) (int, error)         { return 0, syscall.EBADF }
func (*memDir) Read([]byte) (int, error)          { return 0, syscall.EISDIR }
func (*memDir) ReadAt([]byte, int64) (int, error) { return 0, syscall.EISDIR }
func (*memDir) Stat() (fs.FileInfo, error)        { return nil, syscall.EBADF }
func (*memDir) Chmod(fs.FileMode) error           { return syscall.EBADF }
func (*memDir) Truncate(int64) error              { return syscall.EBADF }
