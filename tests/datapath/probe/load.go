package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Attempt is one try of a load: when it began, in seconds of the Unix clock, which of the list it was, what was wrong.
type Attempt struct {
	At    float64 `json:"at"`
	Try   int     `json:"try"`
	Error string  `json:"error"`
}

const (
	every   = 100 * time.Millisecond
	patient = 1000 // attempts under way, of each try: slow ones hold up none that follow
)

// load repeats each try ten times a second, none twice, until its input ends; a line for each attempt.
func load(in io.Reader, out io.Writer) error {
	decoder := json.NewDecoder(in)
	var tries []Try
	if err := decoder.Decode(&tries); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(done)
	}()
	var writing sync.Mutex
	encoder := json.NewEncoder(out)
	var all sync.WaitGroup
	for number, try := range tries {
		all.Go(func() {
			room := make(chan struct{}, patient)
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			var under sync.WaitGroup
			defer under.Wait()
			for {
				select {
				case <-done:
					return
				case begun := <-ticker.C:
					room <- struct{}{}
					under.Go(func() {
						answer := try.Do()
						<-room
						writing.Lock()
						defer writing.Unlock()
						_ = encoder.Encode(Attempt{float64(begun.UnixMilli()) / 1000, number, answer.Error})
					})
				}
			}
		})
	}
	all.Wait()
	return nil
}
