"""Writes facenet's network as TensorFlow stores it; run in an environment that has TensorFlow.

`python tensorflow_facenet.py graphs FOLDER` leaves there frozen graphs, a checkpoint and two
SavedModels of random weights, crops and what TensorFlow makes of them; `objects` after that, a
SavedModel of TensorFlow 2.
"""

import sys
from pathlib import Path

import numpy as np

if __name__ == "__main__":  # its tests find this file by importing it, without TensorFlow
    import tensorflow as tf

    v1 = tf.compat.v1

RANDOM = np.random.default_rng(16)
CONTRASTS = (0.2, 1, 5)


def weight(name, shape, low, high):
    """Return a variable of random numbers."""
    values = RANDOM.uniform(low, high, shape).astype(np.float32)
    return v1.get_variable(name, initializer=values)


def batch_norm(x, training):
    """Normalise as tf.contrib.slim does: a branch to train and a branch to infer."""
    channels = x.shape[-1]
    with v1.variable_scope("BatchNorm"):
        beta = weight("beta", channels, -0.2, 0.2)
        mean = weight("moving_mean", channels, -0.3, 0.3)
        variance = weight("moving_variance", channels, 0.5, 1.5)
        gamma = tf.constant(1.0, shape=[channels])
        flat = x.shape.rank == 2
        image = tf.reshape(x, [-1, 1, 1, channels]) if flat else x

        def train():
            return v1.nn.fused_batch_norm(image, gamma, beta, epsilon=0.001)[:3]

        def infer():
            return v1.nn.fused_batch_norm(
                image, gamma, beta, mean, variance, epsilon=0.001, is_training=False
            )[:3]

        y, batch_mean, batch_variance = v1.cond(training, train, infer)

        def moved():
            with tf.control_dependencies(
                [
                    v1.assign_sub(mean, (mean - batch_mean) * 0.005),
                    v1.assign_sub(variance, (variance - batch_variance) * 0.005),
                ]
            ):
                return tf.identity(y)

        y = v1.cond(training, moved, lambda: y)
        return tf.reshape(y, [-1, channels]) if flat else y


def conv(x, scope, channels, kernel, training, stride=1, padding="SAME", plain=False):
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    with v1.variable_scope(scope):
        inputs = int(x.shape[-1])
        bound = (2.5 / (height * width * inputs)) ** 0.5
        weights = weight("weights", (height, width, inputs, channels), -bound, bound)
        x = tf.nn.conv2d(x, weights, stride, padding)
        if plain:
            return tf.nn.bias_add(x, weight("biases", channels, -0.1, 0.1))
        return tf.nn.relu(batch_norm(x, training))


def residual(x, scope, scale, branches, training, relu=True):
    with v1.variable_scope(scope):
        ends = []
        for index, units in enumerate(branches):
            with v1.variable_scope(f"Branch_{index}"):
                end = x
                for name, channels, kernel in units:
                    end = conv(end, name, channels, kernel, training)
                ends.append(end)
        up = conv(tf.concat(ends, 3), "Conv2d_1x1", int(x.shape[-1]), 1, training, plain=True)
        x = x + scale * up
        return tf.nn.relu(x) if relu else x


def reduction(x, scope, branches, training):
    with v1.variable_scope(scope):
        ends = []
        for index, units in enumerate(branches):
            with v1.variable_scope(f"Branch_{index}"):
                end = x
                for name, channels, kernel in units[:-1]:
                    end = conv(end, name, channels, kernel, training)
                name, channels, kernel = units[-1]
                ends.append(conv(end, name, channels, kernel, training, 2, "VALID"))
        with v1.variable_scope(f"Branch_{len(branches)}"):
            ends.append(tf.nn.max_pool2d(x, 3, 2, "VALID", name="MaxPool_1a_3x3"))
        return tf.concat(ends, 3)


def block35(n=32):
    return (
        [("Conv2d_1x1", n, 1)],
        [("Conv2d_0a_1x1", n, 1), ("Conv2d_0b_3x3", n, 3)],
        [("Conv2d_0a_1x1", n, 1), ("Conv2d_0b_3x3", n, 3), ("Conv2d_0c_3x3", n, 3)],
    )


def block17(n=128):
    return (
        [("Conv2d_1x1", n, 1)],
        [("Conv2d_0a_1x1", n, 1), ("Conv2d_0b_1x7", n, (1, 7)), ("Conv2d_0c_7x1", n, (7, 1))],
    )


def block8(n=192):
    return (
        [("Conv2d_1x1", n, 1)],
        [("Conv2d_0a_1x1", n, 1), ("Conv2d_0b_1x3", n, (1, 3)), ("Conv2d_0c_3x1", n, (3, 1))],
    )


def inception_resnet_v1(images, training, keep, dimensions):
    """Szegedy et al., 2016, with the sizes and the names of facenet's 20180402-114759."""
    with v1.variable_scope("InceptionResnetV1"):
        x = conv(images, "Conv2d_1a_3x3", 32, 3, training, 2, "VALID")
        x = conv(x, "Conv2d_2a_3x3", 32, 3, training, 1, "VALID")
        x = conv(x, "Conv2d_2b_3x3", 64, 3, training)
        x = tf.nn.max_pool2d(x, 3, 2, "VALID", name="MaxPool_3a_3x3")
        x = conv(x, "Conv2d_3b_1x1", 80, 1, training, 1, "VALID")
        x = conv(x, "Conv2d_4a_3x3", 192, 3, training, 1, "VALID")
        x = conv(x, "Conv2d_4b_3x3", 256, 3, training, 2, "VALID")
        for index in range(1, 6):
            x = residual(x, f"Repeat/block35_{index}", 0.17, block35(), training)
        a = [("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_3x3", 192, 3), ("Conv2d_1a_3x3", 256, 3)]
        x = reduction(x, "Mixed_6a", ([("Conv2d_1a_3x3", 384, 3)], a), training)
        for index in range(1, 11):
            x = residual(x, f"Repeat_1/block17_{index}", 0.10, block17(), training)
        b = [("Conv2d_0a_1x1", 256, 1), ("Conv2d_0b_3x3", 256, 3), ("Conv2d_1a_3x3", 256, 3)]
        x = reduction(x, "Mixed_7a", ([b[0], ("Conv2d_1a_3x3", 384, 3)], [b[0], b[2]], b), training)
        for index in range(1, 6):
            x = residual(x, f"Repeat_2/block8_{index}", 0.20, block8(), training)
        x = residual(x, "Block8", 1.0, block8(), training, relu=False)
        with v1.variable_scope("Logits"):
            x = tf.nn.avg_pool2d(x, x.shape[1:3], 1, "VALID", name="AvgPool_1a_8x8")
            x = tf.reshape(x, [-1, x.shape[-1]], name="Flatten")
            x = v1.cond(training, lambda: v1.nn.dropout(x, keep_prob=keep), lambda: x)
        with v1.variable_scope("Bottleneck"):
            inputs = int(x.shape[-1])
            bound = (3 / inputs) ** 0.5
            x = tf.matmul(x, weight("weights", (inputs, dimensions), -bound, bound))
            return batch_norm(x, training)


def set_statistics(session, feed):
    """Set the last normalisation's statistics to those of the crops.

    Without, embeddings of networks with random weights hardly differ.
    """
    scope = "InceptionResnetV1/Bottleneck"
    values = session.run(f"{scope}/MatMul:0", feed)
    for name, statistic in (("mean", values.mean(0)), ("variance", values.var(0))):
        (variable,) = v1.global_variables(f"{scope}/BatchNorm/moving_{name}")
        variable.load(statistic, session)


def frozen(session):
    """Return the graph with its variables as constants, changed first as facenet's script does."""
    graph = session.graph.as_graph_def()
    for node in graph.node:
        if node.op == "RefSwitch":
            node.op = "Switch"
            for index, name in enumerate(node.input):
                if "moving_" in name:
                    node.input[index] = f"{name}/read"
        elif node.op == "AssignSub":
            node.op = "Sub"
            node.attr.pop("use_locking")
    return v1.graph_util.convert_variables_to_constants(session, graph, ["embeddings"])


def run(graph, crops):
    with tf.Graph().as_default(), v1.Session() as session:
        tf.import_graph_def(graph, name="")
        return session.run("embeddings:0", {"input:0": crops, "phase_train:0": False})


def write_objects(folder):
    """Write a SavedModel whose variables belong to an object, which has names of its own."""
    reader = tf.train.load_checkpoint(str(folder / "model-2018.ckpt-275"))
    module = tf.Module()
    module.weights = [
        tf.Variable(reader.get_tensor(name), name=name)
        for name in reader.get_variable_to_shape_map()
    ]
    tf.saved_model.save(module, str(folder / "objects"))


def write_graphs(folder):
    v1.disable_v2_behavior()
    v1.disable_resource_variables()
    # Of different contrast: embeddings of noise alone hardly differ.
    noise = RANDOM.normal(size=(len(CONTRASTS), 160, 160, 3))
    crops = (noise * np.reshape(CONTRASTS, (-1, 1, 1, 1))).astype(np.float32)
    for dimensions in (512, 128):
        with tf.Graph().as_default(), v1.Session() as session:
            images = v1.placeholder(tf.float32, (None, 160, 160, 3), "input")
            training = v1.placeholder(tf.bool, (), "phase_train")
            keep = v1.placeholder_with_default(0.8, (), "keep_probability")
            prelogits = inception_resnet_v1(images, training, keep, dimensions)
            embeddings = tf.nn.l2_normalize(prelogits, 1, 1e-10, name="embeddings")
            session.run(v1.global_variables_initializer())
            set_statistics(session, {images: crops, training: False})
            graph = frozen(session)
            (folder / f"facenet{dimensions}.pb").write_bytes(graph.SerializeToString())
            np.savez(folder / f"facenet{dimensions}.npz", crops=crops, embeddings=run(graph, crops))
            if dimensions == 128:
                break
            # facenet names the graph without the step.
            saver = v1.train.Saver()
            saver.save(session, str(folder / "model-2018.ckpt"), 275, write_meta_graph=False)
            saver.export_meta_graph(str(folder / "model-2018.meta"))
            v1.saved_model.simple_save(
                session, str(folder / "variables"), {"images": images}, {"embeddings": embeddings}
            )
        with tf.Graph().as_default(), v1.Session() as session:
            tf.import_graph_def(graph, name="")
            tensors = map(session.graph.get_tensor_by_name, ("input:0", "embeddings:0"))
            images, embeddings = tensors
            v1.saved_model.simple_save(
                session, str(folder / "constants"), {"images": images}, {"embeddings": embeddings}
            )


if __name__ == "__main__":
    {"graphs": write_graphs, "objects": write_objects}[sys.argv[1]](Path(sys.argv[2]))
