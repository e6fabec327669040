package ibmsarama

import (
	"context"
	"errors"
	"slices"
	"sync"

	"alluvium/tests/clients/go/suite"

	"github.com/IBM/sarama"
)

// member is a ConsumerGroup and its handler. A session is what lies between two rebalances.
type member struct {
	group    sarama.ConsumerGroup
	topic    string
	messages chan suite.Message
	cancel   context.CancelFunc
	done     chan struct{}
	leave    sync.Once
	mutex    sync.Mutex
	session  sarama.ConsumerGroupSession
}

// Join starts a consumer of the group with Sarama's default strategy, which is eager.
func (client *Client) Join(_ context.Context, group, topic string) (suite.Member, error) {
	config := client.config()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Heartbeat.Interval = heartbeatInterval
	consumers, err := sarama.NewConsumerGroup(client.addresses(), group, config)
	if err != nil {
		return nil, err
	}
	// The member outlives the call that made it; Leave ends it.
	background, cancel := context.WithCancel(context.Background())
	joined := &member{group: consumers, topic: topic, messages: make(chan suite.Message, 10_000), cancel: cancel, done: make(chan struct{})}
	go joined.consume(background)
	return joined, nil
}

func (joined *member) consume(ctx context.Context) {
	defer close(joined.done)
	defer close(joined.messages)
	for ctx.Err() == nil {
		if err := joined.group.Consume(ctx, []string{joined.topic}, joined); errors.Is(err, sarama.ErrClosedConsumerGroup) {
			return
		}
	}
}

func (joined *member) setSession(session sarama.ConsumerGroupSession) {
	joined.mutex.Lock()
	defer joined.mutex.Unlock()
	joined.session = session
}

func (joined *member) Setup(session sarama.ConsumerGroupSession) error {
	joined.setSession(session)
	return nil
}

func (joined *member) Cleanup(sarama.ConsumerGroupSession) error {
	joined.setSession(nil)
	return nil
}

func (joined *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case record, open := <-claim.Messages():
			if !open {
				return nil
			}
			joined.messages <- toMessage(record)
		case <-session.Context().Done():
			return nil
		}
	}
}

func (joined *member) current() sarama.ConsumerGroupSession {
	joined.mutex.Lock()
	defer joined.mutex.Unlock()
	return joined.session
}

func (joined *member) Messages() <-chan suite.Message { return joined.messages }

func (joined *member) Assigned() []int32 {
	session := joined.current()
	if session == nil {
		return nil
	}
	partitions := slices.Clone(session.Claims()[joined.topic])
	slices.Sort(partitions)
	return partitions
}

func (joined *member) Commit(_ context.Context, messages []suite.Message) error {
	session := joined.current()
	if session == nil {
		return errors.New("the member has no session")
	}
	for _, message := range messages {
		session.MarkOffset(joined.topic, message.Partition, message.Offset+1, "")
	}
	session.Commit()
	return nil
}

func (joined *member) Leave(context.Context) error {
	var err error
	joined.leave.Do(func() {
		joined.cancel()
		err = joined.group.Close()
		<-joined.done
	})
	return err
}
